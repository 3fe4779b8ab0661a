"""The format of test files: every key there is, and what may stand below it."""

from __future__ import annotations

from fedbadges.rules.grammar import (
    DIALECT,
    TEXTUAL,
    YES_NO,
    Fields,
    FieldSpec,
    Kind,
    Schema,
    number,
    record_of,
    several,
)
from fedbadges.ruletests.grammar import (
    ACCOUNT,
    DATA,
    INTERVAL,
    MOMENT,
    OBJECT,
    TEMPLATE,
    account_name,
    any_name,
    by_name,
    one_or_several,
    or_empty,
)
from fedbadges.ruletests.messages import MAX_MESSAGES

_TEXTS = one_or_several(TEXTUAL, "a name")
_NAMES = one_or_several(TEMPLATE, "a name", least=0)
_BADGES = one_or_several(TEXTUAL, "a badge")

#: What may be said of a message itself.
MESSAGE_KEYS = {
    "topic": FieldSpec(TEMPLATE, "The whole topic, such as org.fedoraproject.prod.git.receive."),
    "msg": FieldSpec(OBJECT, "What the message says."),
    "usernames": FieldSpec(
        _NAMES, "Whom it concerns; without, whom it is from, or else whom fedmsg.meta names."
    ),
    "packages": FieldSpec(
        _NAMES, "The packages that it concerns; without, those that fedmsg.meta names."
    ),
    "agent": FieldSpec(TEMPLATE, "Who did it; without, whom fedmsg.meta names."),
    "timestamp": FieldSpec(
        MOMENT,
        "When it was sent, or the first of several: a date, seconds or an age such as 3 days ago.",
    ),
    "msg_id": FieldSpec(TEMPLATE, "Its id; without, one of its own."),
    "username": FieldSpec(TEMPLATE, "The envelope's own: the account that ran what sent it."),
    "i": FieldSpec(number(0, 2**31 - 1), "The envelope's own: the sender's count."),
    "headers": FieldSpec(OBJECT, "The envelope's own."),
    **{
        name: FieldSpec(DATA, "The envelope's own; takes part in nothing.")
        for name in ("source_name", "source_version", "crypto", "certificate", "signature")
    },
}
_SEVERAL = {
    "like": FieldSpec(TEXTUAL, "The message under 'messages' that says what this one does not."),
    "from": FieldSpec(_TEXTS, "Whom it is from: one message from each; fills in %(from)s."),
    "count": FieldSpec(
        number(1, MAX_MESSAGES), "How many there are, of each sender; they fill in %(number)s."
    ),
    "every": FieldSpec(INTERVAL, "How long after one the next is sent, such as 1 day; a minute."),
}
#: What may be expected.
EXPECTED_KEYS = {
    "awards": FieldSpec(
        by_name(_BADGES, account_name),
        "Who gets which badges, by their ids; and nobody anything else. {} for nobody.",
    ),
    "no_awards": FieldSpec(
        by_name(_BADGES, account_name, least=1), "Who does not get which badges, by their ids."
    ),
}
_ACCOUNT = record_of(
    "an account",
    {
        "nicks": FieldSpec(_TEXTS, "IRC nicks."),
        "emails": FieldSpec(_TEXTS, "E-mail addresses."),
        "github": FieldSpec(_TEXTS, "Names on GitHub."),
        "groups": FieldSpec(_TEXTS, "Groups that the account is in, for criteria that ask."),
        "avatar": FieldSpec(YES_NO, "Yes, if Libravatar has one, for criteria that ask."),
    },
)
_WORLD = {
    "accounts": FieldSpec(
        by_name(or_empty(_ACCOUNT), account_name),
        "Who has an account, and what else the accounts service says; without, everybody has.",
    ),
    "opted_out": FieldSpec(one_or_several(ACCOUNT, "a name", least=0), "Who wants no badges."),
    "holds": FieldSpec(
        by_name(_BADGES, account_name), "Who has which badges already, by their ids."
    ),
    "now": FieldSpec(MOMENT, "When the first incoming message is sent; 2024-01-01 12:00:00 else."),
}
_TEST = record_of(
    "a test",
    {
        "name": FieldSpec(TEXTUAL, "What it shows.", required=True),
        "past": FieldSpec(
            several(record_of("a past message", {**_SEVERAL, **MESSAGE_KEYS}), "a past message"),
            "Messages of before, which datanommer has.",
        ),
        "incoming": FieldSpec(
            several(
                record_of("an incoming message", {**_SEVERAL, **MESSAGE_KEYS, **EXPECTED_KEYS}),
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
FILE: Kind[Fields] = record_of(
    "a test file",
    {
        "rules": FieldSpec(_TEXTS, "The rule files, as seen from here; without, the one beside."),
        "messages": FieldSpec(
            by_name(record_of("a message", MESSAGE_KEYS), any_name),
            "Messages to be 'like', by names.",
        ),
        "tests": FieldSpec(several(_TEST, "a test"), "The tests.", required=True),
        **_WORLD,
    },
)


def suite_schema() -> Schema:
    """Return a JSON Schema of test files."""
    return {"$schema": DIALECT, "title": "Tests of rules of fedbadges", **FILE.schema}
