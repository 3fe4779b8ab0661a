"""Fields: what a message must have at some paths, said without Python."""

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.field_checks import CHECKS, MESSAGES, expected
from support.rule_text import assert_mistakes, load, message

from fedbadges.errors import MissingValue
from fedbadges.rules.index import RuleSet
from fedbadges.rules.operators import AllOf
from fedbadges.rules.triggers import AllFields, Trigger

TOPIC = "org.fedoraproject.prod.git.receive"


def trigger_of(trigger: Any) -> Trigger:
    text = trigger if isinstance(trigger, str) else yaml.safe_dump(trigger, allow_unicode=True)
    return load(f"trigger:\n{''.join(f'  {line}' for line in text.splitlines(True))}\n").trigger


def answer(trigger: Trigger, msg: Any) -> bool | None:
    """Return what a trigger says of a message with this content; None for "unknown"."""
    try:
        return trigger.holds(message(TOPIC, msg=msg))
    except MissingValue:
        return None


def asked(wanted: str, value: Any) -> bool | None:
    """Return if a value is what is wanted, as YAML that goes below its path."""
    return answer(trigger_of(f"fields: {{msg.x: {wanted}}}"), {"x": value, "y": "main", "n": 3})


@pytest.mark.parametrize(
    ("wanted", "holds", "fails"),
    [
        ("0", [0, 0.0, False], [1, "0", None, [], ""]),
        ("'0'", ["0"], [0]),
        ("yes", [True, 1], ["yes", False]),
        ("null", [None], [0, "", False]),
        ("''", [""], [None]),
        ("closed", ["closed"], ["Closed", ["closed"]]),
        ("100%%", ["100%"], ["100%%"]),
        ("{equal to: 2}", [2], [3]),
        ("{is equal to: 2}", [2], [3]),
        ("{is not: closed}", ["open", None, 1], ["closed"]),
        ("{is not equal to: closed}", ["open"], ["closed"]),
        ("{greater than: 0}", [1, 0.5, True], [0, -1, "1", None, [1]]),
        ("{greater than or equal to: 0}", [0, 1], [-1]),
        ("{less than: 0}", [-1], [0, "a"]),
        ("{is less than or equal to: 0}", [0], [1]),
        ("{greater than: '2014'}", ["2014-01", "2015"], ["2013", 2015]),
        ("{contains: ain}", ["main", ["ain"], {"ain": 1}], ["ma", ["main"], {"a": "ain"}, 7]),
        ("{contains: 3}", [[1, 3]], ["3", {"3": 1}, 3, None]),
        ("{starts with: /srv/git/}", ["/srv/git/docs"], ["/srv", ["/srv/git/"], None]),
        ("{ends with: .spec}", ["a.spec"], ["a.spec.in", 7]),
        ("{exists: true}", [None, 0, ""], []),
        ("{exists: false}", [], [None, 0, ""]),
        ("{length: 2}", ["ab", [1, 2], {"a": 1, "b": 2}], ["a", [], 2, None]),
        ("{length: {greater than: 2}}", ["abc", [1, 2, 3]], ["ab", 3]),
        ("{length: {any: [0, {greater than: 2}]}}", ["", "abc"], ["a"]),
        ("{length: {not: 2}}", ["a"], ["ab", 3]),
        ("{greater than: 0, less than: 5}", [1, 4], [0, 5]),
        ("{any: [main, rawhide]}", ["main", "rawhide"], ["f20"]),
        ("{any: [main, {starts with: f}]}", ["main", "f20"], ["epel"]),
        ("{all: [{starts with: f}, {is not: f20}]}", ["f21"], ["f20", "g"]),
        ("{not: closed}", ["open", None], ["closed"]),
        ("{not: {any: [main, {greater than: 3}]}}", [3, "x"], ["main", 4]),
        ("'%(msg.y)s'", ["main"], ["msg.y"]),
        ("'%(msg.n)s'", [3], ["3"]),
        ("'%(msg.y)s-%(msg.n)s'", ["main-3"], ["main"]),
        ("{is not: '%(msg.y)s'}", ["f20"], ["main"]),
        ("{greater than: '%(msg.n)s'}", [4], [3, "4"]),
        ("{contains: '%(msg.n)s'}", [[3]], [["3"], "3"]),
        ("{starts with: '%(msg.y)s/'}", ["main/a"], ["main"]),
        ("{length: '%(msg.n)s'}", ["abc"], ["ab"]),
        ("{any: ['%(msg.y)s', '%(msg.z)s']}", ["main"], []),
    ],
)
def test_a_field_is_compared_with_what_is_wanted(
    wanted: str, holds: list[Any], fails: list[Any]
) -> None:
    assert [value for value in holds if asked(wanted, value) is not True] == []
    assert [value for value in fails if asked(wanted, value) is not False] == []


@pytest.mark.parametrize(
    "wanted",
    [
        *("0", "null", "{is not: 0}", "{not: 0}", "{length: 0}", "{not: {length: 1}}"),
        *("{contains: a}", "{exists: true}", "{any: [0, {exists: true}]}"),
        "{not: {any: [1, {exists: false}]}}",
    ],
)
def test_a_message_without_the_field_satisfies_nothing(wanted: str) -> None:
    trigger = trigger_of(f"fields: {{msg.x: {wanted}}}")
    assert answer(trigger, {}) is not True
    assert answer(trigger, {"y": {"x": 0}}) is not True
    assert answer(trigger, [0]) is not True


@pytest.mark.parametrize(
    "wanted", ["{exists: false}", "{not: {exists: true}}", "{any: [0, {exists: false}]}"]
)
def test_a_message_without_the_field_satisfies_that_it_has_none(wanted: str) -> None:
    trigger = trigger_of(f"fields: {{msg.x: {wanted}}}")
    assert answer(trigger, {}) is True
    assert answer(trigger, {"x": None}) is False


def test_a_missing_field_is_unknown_to_operators_of_the_trigger() -> None:
    missing = {"fields": {"msg.x": 0}}
    assert answer(trigger_of({"not": missing}), {}) is None
    assert answer(trigger_of({"any": [missing, {"topic": "git.receive"}]}), {}) is True
    assert answer(trigger_of({"all": [missing, {"topic": "wiki"}]}), {}) is False


def test_what_is_missing_is_named() -> None:
    with pytest.raises(MissingValue, match=r"the message has no msg\.x"):
        trigger_of("fields: {msg.x: 0}").holds(message(msg={}))
    with pytest.raises(MissingValue, match=r"the message has no msg\.y"):
        trigger_of("fields: {msg.x: '%(msg.y)s'}").holds(message(msg={"x": 0}))


def test_a_template_that_the_message_lacks_is_unknown_beside_what_decides() -> None:
    trigger = trigger_of("fields: {msg.x: {any: ['%(msg.y)s', main]}}")
    assert answer(trigger, {"x": "main"}) is True
    assert answer(trigger, {"x": "f20"}) is None


def test_a_path_reaches_into_lists_and_keys_with_dots() -> None:
    trigger = trigger_of("fields: {msg.authors.1.name: bob, msg.a.b.c: 1, topic: {ends with: ive}}")
    assert answer(trigger, {"authors": [{}, {"name": "bob"}], "a.b": {"c": 1}}) is True
    assert answer(trigger, {"authors": [{"name": "bob"}], "a.b": {"c": 1}}) is None


def test_all_fields_must_hold() -> None:
    trigger = trigger_of("fields: {msg.x: 1, msg.y: 2}")
    assert [answer(trigger, {"x": x, "y": y}) for x, y in ((1, 2), (1, 3), (2, 2))] == [
        True,
        False,
        False,
    ]


def test_all_keys_of_a_trigger_must_hold() -> None:
    trigger = trigger_of(
        "category: git\n"
        "topic: git.receive\n"
        "fields: {msg.x: 1, msg.y: 2}\n"
        "lambda: msg['msg']['z'] == 3\n"
        "not: {fields: {msg.draft: true}}\n"
    )
    good = {"x": 1, "y": 2, "z": 3, "draft": False}
    assert answer(trigger, good) is True
    for change in ({"x": 2}, {"y": 3}, {"z": 4}, {"draft": True}):
        assert answer(trigger, good | change) is False
    assert trigger.holds(message("org.fedoraproject.prod.wiki.edit", msg=good)) is False


def test_several_keys_nest_below_operators() -> None:
    trigger = trigger_of("any: [{topic: wiki}, {topic: git.receive, fields: {msg.x: 1}}]")
    assert answer(trigger, {"x": 1}) is True
    assert answer(trigger, {"x": 2}) is False


def test_a_rule_with_fields_is_found_by_its_topic() -> None:
    rule = load("trigger: {fields: {msg.x: 1}, topic: git.receive}\n")
    rules = RuleSet([rule])
    assert rules.concerned(message(TOPIC)) == (rule,)
    assert rules.concerned(message("org.fedoraproject.prod.wiki.edit")) == ()


def test_triggers_are_equal_if_they_want_the_same() -> None:
    def same(one: str, other: str) -> bool:
        return trigger_of(f"fields: {{msg.x: {one}}}") == trigger_of(f"fields: {{msg.x: {other}}}")

    assert same("{is equal to: 1}", "1")
    assert not same("1", "'1'")
    assert not same("1", "true")
    assert not same("1", "1.0")
    assert not same("'%(msg.y)s'", "'%%(msg.y)s'")
    assert not same("{any: [1, 2]}", "{all: [1, 2]}")


def test_what_a_template_knows_of_a_message_fields_know_as_well() -> None:
    sent = replace(message(TOPIC, msg={"all": ["alice"]}), known_users=frozenset(["alice"]))
    for fields in ("{msg.all: '%(usernames)s'}", "{usernames: {contains: alice}}"):
        assert trigger_of(f"fields: {fields}").holds(sent)
    for fields in ("{usernames: {length: 2}}", "{msg.all: {is not: '%(usernames)s'}}"):
        assert not trigger_of(f"fields: {fields}").holds(sent)


@pytest.mark.parametrize(
    "trigger", ["fields:\n  ? msg.PATH\n  : 1\n", "fields: {msg.x: '%(msg.PATH)s'}"]
)
def test_a_path_may_be_long(trigger: str) -> None:
    found = trigger_of(trigger.replace("PATH", ".".join("a" * 20_000)))
    assert answer(found, {"a": {"a": 1}, "x": 1}) is None


def test_values_may_be_nested_deeply() -> None:
    one, other = [1], [1]
    for _ in range(20_000):
        one, other = [one], [other]  # type: ignore[list-item]
    equal = trigger_of("fields: {msg.x: '%(msg.y)s'}")
    within = trigger_of("fields: {msg.x: 'a%(msg.y)s'}")
    assert answer(equal, {"x": one, "y": other}) is False
    assert answer(within, {"x": "a", "y": one}) is None


# In general


@given(CHECKS, MESSAGES)
def test_any_field_is_judged_as_its_words_say(check: Any, msg: dict[str, Any]) -> None:
    trigger = trigger_of({"fields": {"msg.x": check}})
    assert answer(trigger, msg) is expected(check, msg)


@given(CHECKS, CHECKS, MESSAGES)
def test_fields_are_decided_at_once_as_one_after_the_other(
    one: Any, other: Any, msg: dict[str, Any]
) -> None:
    fields = trigger_of({"fields": {"msg.x": one, "msg.y": other}})
    assert isinstance(fields, AllFields)
    assert answer(fields, msg) is answer(AllOf(fields.parts, fields.place), msg)


@pytest.mark.parametrize("wanted", ["0", "{any: [0, {not: 1}]}", "{exists: true}", "{is not: 1}"])
def test_fields_that_a_message_has_are_decided_at_once(wanted: str) -> None:
    fields = trigger_of(f"fields: {{msg.x: {wanted}, msg.y: '%(msg.x)s'}}")
    assert isinstance(fields, AllFields)
    assert fields.quick(message(msg={"x": 0, "y": 0}).body, ()) is True
    assert fields.quick(message(msg={"x": 0, "y": 1}).body, ()) is False


SIGNS = {"equal to": "==", "is not": "!=", "greater than": ">", "less than": "<"}
LAMBDAS = st.lists(
    st.tuples(
        st.sampled_from(["x", "y"]), st.sampled_from(list(SIGNS)), st.sampled_from([0, 1, "a"])
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda part: part[0],
)


@given(LAMBDAS, MESSAGES)
def test_fields_are_what_the_lambda_is_that_they_replace(
    parts: list[tuple[str, str, Any]], msg: dict[str, Any]
) -> None:
    fields = {f"msg.{path}": {name: value} for path, name, value in parts}
    text = " and ".join(f"msg['msg']['{path}'] {SIGNS[name]} {v!r}" for path, name, v in parts)
    replaced = trigger_of({"lambda": text})
    try:
        wanted: bool | None = replaced.holds(message(TOPIC, msg=msg))
    except (KeyError, TypeError):
        # Neither gives a badge.
        assert answer(trigger_of({"fields": fields}), msg) is not True
        return
    assert answer(trigger_of({"fields": fields}), msg) is wanted


# Mistakes

USUAL = "'equal to', 'is not', 'greater than', 'contains', 'exists' and 'any', among others"


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ("→{}", "'fields' is empty; it takes at least one, such as 'msg.minor: 0'"),
        ("→[a]", "'fields' is a mapping, such as 'msg.minor: 0', and this is a list"),
        ("→a", "'fields' is a mapping, such as 'msg.minor: 0', and this is a single value"),
        ("{'→%(msg.x)s': 1}", "a path stands alone here; write 'msg.x' for '%(msg.x)s'"),
        (
            "{\"→msg['a']['b']\": 1}",
            "a path is written with dots: 'msg.a.b' for 'msg['a']['b']'",
        ),
        ("{→msg..x: 1}", "'msg..x' is no path; one is written as 'msg.commit.branch'"),
        ("{→7: 1}", "'7' is no path; one is written as 'msg.commit.branch'"),
        (
            "{msg.x: →[a, b]}",
            "'msg.x' is compared with one value, and this is a list; to name several, write "
            "'msg.x: {any: […]}'",
        ),
        (
            "{msg: {→minor: 0}}",
            "unknown comparison 'minor'; a field is written 'msg.minor: …'; comparisons are "
            f"{USUAL}",
        ),
        ("{msg.x: →{}}", f"nothing is asked of 'msg.x'; comparisons are {USUAL}"),
        ("{msg.x: {→greater then: 1}}", "unknown comparison 'greater then'; did you mean "
         "'greater than'?"),
        ("{msg.x: {'→>': 1}}", "unknown comparison '>'; did you mean 'greater than'?"),
        ("{msg.x: '→> 3'}", "'> 3' is no comparison; write 'msg.x: {greater than: …}'"),
        ("{msg.x: →}", "'msg.x' is empty; write 'null' or \"\" if you mean that"),
        (
            "{msg.x: →2014-01-01}",
            "'msg.x' compares with a date, which no message has; quotes make it text",
        ),
        ("{msg.x: →.nan}", "'msg.x' compares with '.nan', which equals nothing"),
        ("{msg.x: {greater than: →yes}}", "'greater than' compares with a number or a text, and "
         "this is true"),
        ("{msg.x: {starts with: →7}}", "'starts with' compares with a text, and this is 7"),
        (
            "{msg.x: {contains: →[a]}}",
            "'contains' compares with one value, and this is a list; to name several, write "
            "'any: [{contains: …}, {contains: …}]'",
        ),
        ("{msg.x: {exists: →maybe}}", "'exists' is Yes or No"),
        ("{msg.x: {any: →main}}", "'any' takes a list, and this is text"),
        ("{msg.x: {any: →[]}}", "'any' is empty; it takes at least one"),
        ("{msg.x: {any: [main, →[a]]}}", "'msg.x' is compared with one value, and this is a list; "
         "to name several, write 'msg.x: {any: […]}'"),
        ("{msg.x: {length: →many}}", "'length' compares with a whole number, and this is \"many\""),
        ("{msg.x: {length: {greater than: →1.5}}}", "'greater than' compares with a whole number, "
         "and this is 1.5"),
        ("{msg.x: {length: {→exists: yes}}}", "unknown comparison 'exists'; comparisons are "
         "'equal to', 'is not', 'greater than' and 'any', among others"),
        ("{msg.x: '→%(msg.y'}", "a template that does not end in ')s'; write it as %(msg.user)s"),
        (
            "{msg.x: '→%(recipient)s'}",
            "'%(recipient)s' stands in filters; a trigger comes before all candidates",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_fields_says_what_would_be_right(fields: str, mistake: str) -> None:
    assert_mistakes(f"trigger: {{fields: {fields}}}\n", mistake)


def test_all_mistakes_in_fields_are_reported_at_once() -> None:
    assert_mistakes(
        "trigger:\n"
        "  topic: a→ b\n"
        "  →topc: a\n"
        "  fields:\n"
        "    msg.x: {→greatr than: 1, starts with: →7}\n"
        "    msg.y: →[a]\n",
        "a topic has no blanks",
        "unknown key 'topc' in a trigger; did you mean 'topic'? There are 'topic', 'category', "
        "'fields', 'lambda', 'all', 'any' and 'not'",
        "unknown comparison 'greatr than'; did you mean 'greater than'?",
        "'starts with' compares with a text, and this is 7",
        "'msg.y' is compared with one value, and this is a list; to name several, write "
        "'msg.y: {any: […]}'",
    )
