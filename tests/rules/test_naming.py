"""Whom a recipient of several templates names, and whom ``except`` leaves out."""

from typing import Any

import pytest
from support.rule_text import METADATA, PARSING, PATH, TRIGGER, assert_mistakes, load, message

from fedbadges.errors import MissingValue
from fedbadges.rules.criteria import Question, backend_criteria
from fedbadges.rules.loader import load_text
from fedbadges.rules.recipients import Everybody, TrustedDomains

TRUSTED = TrustedDomains()
FIRST = 'recipient: {any: ["%(msg.agent)s", "%(msg.user)s"]}\n'
ONE = 'recipient: "%(msg.users)s"\n'


def names(body: str, msg: dict[str, Any]) -> list[str | None]:
    recipient = load(body).recipient
    assert recipient is not None
    return [found.name for found in recipient.find(message(msg=msg).body, TRUSTED)]


def excepted(body: str, msg: dict[str, Any], accounts: Any = None) -> set[str]:
    found = load(body).excepted
    assert found is not None
    return set(found.names(message(msg=msg).body, TRUSTED, accounts or Everybody()))


@pytest.mark.parametrize(
    ("msg", "expected"),
    [
        ({"agent": "alice", "user": "bob"}, ["alice"]),
        ({"user": "bob"}, ["bob"]),
        ({"agent": None, "user": "bob"}, ["bob"]),
        ({"agent": [], "user": ["bob", "carol"]}, ["bob", "carol"]),
        ({"agent": "192.0.2.7", "user": "bob"}, [None]),
        ({"agent": None, "user": None}, []),
        ({"agent": None}, []),
    ],
)
def test_the_first_recipient_that_names_anybody_counts(msg, expected):
    assert names(FIRST, msg) == expected


def test_a_message_without_any_of_the_recipients_lacks_the_first():
    with pytest.raises(MissingValue, match=r"msg\.agent"):
        names(FIRST, {})


def test_what_is_excepted_may_be_one_template_or_several():
    msg = {"submitter": "Alice", "team": [{"name": "bob"}, "carol"]}
    assert excepted('except: "%(msg.submitter)s"\n', msg) == {"alice"}
    both = 'except: ["%(msg.submitter)s", "%(msg.team)s"]\n'
    assert excepted(both, msg) == {"alice", "bob", "carol"}


def test_nobody_is_excepted_where_the_message_has_null():
    assert excepted('except: "%(msg.submitter)s"\n', {"submitter": None}) == set()


def test_a_message_without_what_is_excepted_lacks_that():
    with pytest.raises(MissingValue, match=r"msg\.submitter"):
        excepted('except: "%(msg.submitter)s"\n', {})


def test_excepted_names_are_converted_as_the_recipient_is():
    body = ONE + 'recipient_krb2fas: Yes\nexcept: "%(msg.by)s"\n'
    assert excepted(body, {"by": "alice@FEDORAPROJECT.ORG"}) == {"alice"}
    assert excepted(body, {"by": "alice"}) == {"alice"}


def test_somebody_who_is_excepted_by_the_name_of_the_account_needs_no_nick():
    class Nicks(Everybody):
        def by_nick(self, nick: str, /) -> str | None:
            return None

    body = ONE + 'recipient_nick2fas: Yes\nexcept: "%(msg.by)s"\n'
    assert excepted(body, {"by": "Alice"}, Nicks()) == {"alice"}


def test_rules_name_the_same_people_only_with_the_same_recipient_and_exceptions():
    bodies = [ONE, FIRST, "", ONE + 'except: "%(msg.by)s"\n', 'except: "%(msg.by)s"\n']
    bodies.append(ONE + "recipient_nick2fas: Yes\n")
    assert len({load(body).naming for body in bodies}) == len(bodies)
    assert load(FIRST).naming == load(FIRST).naming


def test_without_criteria_the_trigger_is_enough():
    (rule,) = load_text((METADATA + TRIGGER).encode(), PATH, PARSING)
    assert rule.criteria.holds(Question(message()))
    assert not rule.needs_history
    assert not list(backend_criteria(rule.criteria))


NEEDS_PATH = "is a template such as '%(msg.user)s'"
NOBODY_YET = "'%(recipient)s' stands for whom the recipient names, nobody yet"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            'recipient: →["%(msg.a)s"]\n',
            "a recipient is a template, and this is a list; for the first of them that a message "
            "has, write 'recipient: {any: […]}'",
        ),
        (
            "recipient: {→all: ['%(msg.a)s']}\n",
            "unknown key 'all' in a recipient; expected 'any'",
        ),
        ("recipient: {any: →[]}\n", "'any' is empty; it takes at least one"),
        ("recipient: {any: '→%(msg.a)s'}\n", "'any' takes a list, and this is text"),
        ("recipient: {any: ['%(msg.a)s', →alice]}\n", f"a recipient {NEEDS_PATH}"),
        ("recipient: {any: ['→%(recipient)s']}\n", NOBODY_YET),
        ("except: →alice\n", f"'except' {NEEDS_PATH}"),
        ("except: →[]\n", "'except' is empty; it takes at least one"),
        (
            "except: ['%(msg.a)s', →7]\n",
            "an item of 'except' is text, and this is a number, '7' (quotes make it text)",
        ),
        ("except: '→%(recipient)s'\n", NOBODY_YET),
    ],
)
def test_a_mistake_has_its_place(body, expected):
    assert_mistakes(body, expected)
