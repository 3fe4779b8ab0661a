"""The format of test files: every key there is, and what may stand below it."""

from __future__ import annotations

from fedbadges.rules.schema import DIALECT, Schema
from fedbadges.ruletests.grammar import (
    ACCOUNT,
    DATA,
    INTERVAL,
    MOMENT,
    OBJECT,
    TEMPLATE,
    TEXTUAL,
    YES_NO,
    Fields,
    Key,
    Kind,
    account_name,
    any_name,
    by_name,
    number,
    one_or_several,
    or_empty,
    record,
    several,
)
from fedbadges.ruletests.messages import MOST_MESSAGES

_TEXTS = one_or_several(TEXTUAL, "a name")
_NAMES = one_or_several(TEMPLATE, "a name", least=0)
_BADGES = one_or_several(TEXTUAL, "a badge")

#: What may be said of a message itself.
MESSAGE_KEYS = {
    "topic": Key(TEMPLATE, "The whole topic, such as org.fedoraproject.prod.git.receive."),
    "msg": Key(OBJECT, "What the message says."),
    "usernames": Key(
        _NAMES, "Whom it concerns; without, whom it is from, or else whom fedmsg.meta names."
    ),
    "packages": Key(
        _NAMES, "The packages that it concerns; without, those that fedmsg.meta names."
    ),
    "agent": Key(TEMPLATE, "Who did it; without, whom fedmsg.meta names."),
    "timestamp": Key(
        MOMENT,
        "When it was sent, or the first of several: a date, seconds or an age such as 3 days ago.",
    ),
    "msg_id": Key(TEMPLATE, "Its id; without, one of its own."),
    "username": Key(TEMPLATE, "The envelope's own: the account that ran what sent it."),
    "i": Key(number(0, 2**31 - 1), "The envelope's own: the sender's count."),
    "headers": Key(OBJECT, "The envelope's own."),
    **{
        name: Key(DATA, "The envelope's own; takes part in nothing.")
        for name in ("source_name", "source_version", "crypto", "certificate", "signature")
    },
}
_SEVERAL = {
    "like": Key(TEXTUAL, "The message under 'messages' that says what this one does not."),
    "from": Key(_TEXTS, "Whom it is from: one message from each; fills in %(from)s."),
    "count": Key(
        number(1, MOST_MESSAGES), "How many there are, of each sender; they fill in %(number)s."
    ),
    "every": Key(INTERVAL, "How long after one the next is sent, such as 1 day; a minute."),
}
#: What may be expected.
EXPECTED_KEYS = {
    "awards": Key(
        by_name(_BADGES, account_name),
        "Who gets which badges, by their ids; and nobody anything else. {} for nobody.",
    ),
    "no_awards": Key(
        by_name(_BADGES, account_name, least=1), "Who does not get which badges, by their ids."
    ),
}
_ACCOUNT = record(
    "an account",
    {
        "nicks": Key(_TEXTS, "IRC nicks."),
        "emails": Key(_TEXTS, "E-mail addresses."),
        "github": Key(_TEXTS, "Names on GitHub."),
        "groups": Key(_TEXTS, "Groups that the account is in, for criteria that ask."),
        "avatar": Key(YES_NO, "Yes, if Libravatar has one, for criteria that ask."),
    },
)
_WORLD = {
    "accounts": Key(
        by_name(or_empty(_ACCOUNT), account_name),
        "Who has an account, and what else the accounts service says; without, everybody has.",
    ),
    "opted_out": Key(one_or_several(ACCOUNT, "a name", least=0), "Who wants no badges."),
    "holds": Key(by_name(_BADGES, account_name), "Who has which badges already, by their ids."),
    "now": Key(MOMENT, "When the first incoming message is sent; 2024-01-01 12:00:00 else."),
}
_TEST = record(
    "a test",
    {
        "name": Key(TEXTUAL, "What it shows.", required=True),
        "past": Key(
            several(record("a past message", {**_SEVERAL, **MESSAGE_KEYS}), "a past message"),
            "Messages of before, which datanommer has.",
        ),
        "incoming": Key(
            several(
                record("an incoming message", {**_SEVERAL, **MESSAGE_KEYS, **EXPECTED_KEYS}),
                "an incoming message",
            ),
            "Messages that come in, one after the other, with what is expected of each.",
            required=True,
        ),
        **EXPECTED_KEYS,
        **_WORLD,
    },
)
#: A whole test file.
FILE: Kind[Fields] = record(
    "a test file",
    {
        "rules": Key(_TEXTS, "The rule files, as seen from here; without, the one beside."),
        "messages": Key(
            by_name(record("a message", MESSAGE_KEYS), any_name), "Messages to be 'like', by names."
        ),
        "tests": Key(several(_TEST, "a test"), "The tests.", required=True),
        **_WORLD,
    },
)


def suite_schema() -> Schema:
    """Describe test files: a JSON Schema, as JSON has it."""
    return {"$schema": DIALECT, "title": "Tests of rules of fedbadges", **FILE.schema}
