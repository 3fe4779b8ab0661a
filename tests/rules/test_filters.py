"""Filters: which past messages a criterion asks about, filled in for one message."""

import datetime

import pytest
from support.rule_text import load, message

from fedbadges.errors import MissingValue
from fedbadges.rules.filters import FilledFilter, Filter, Pages

NOW = datetime.datetime(2023, 11, 14, 22, 13, 20)
BEGINNING, END = datetime.datetime.min, datetime.datetime.max

MSG = {
    "user": "Alice",
    "users": ["bob", "Carol"],
    "number": 7,
    "nothing": None,
    "empty": [],
    "object": {"a": 1},
    "flag": True,
    "nul": "a\x00b",
    "surrogate": "\ud800",
    "age": "2 days ago",
    "odd_age": "soon",
}


def parse(filter_text: str) -> Filter:
    rest = "  operation: count\n  condition: {equal to: 1}\n"
    return load(f"criteria:\n  filter: {{{filter_text}}}\n{rest}").criteria.criterion.filter


def fill(filter_text: str, recipient: str | None = None, **fields: object) -> FilledFilter:
    fields.setdefault("msg", MSG)
    return parse(filter_text).fill(message(**fields), recipient)


def lists(filter_text: str, recipient: str | None = None) -> dict[str, tuple[str, ...]]:
    return dict(fill(filter_text, recipient).lists)


LIST_KEYS = ["topics", "packages", "categories", "contains"]
NAME_KEYS = ["users", "agents"]
NEGATIVE = ["not_topics", "not_users", "not_packages", "not_categories", "not_agents"]


@pytest.mark.parametrize("key", [*LIST_KEYS, *NAME_KEYS, *NEGATIVE])
def test_a_filter_key_takes_a_list_a_template_or_a_lambda(key):
    assert lists(f"{key}: [a, b]") == {key: ("a", "b")}
    assert lists(f"{key}: ['x%(msg.number)s', a]") == {key: ("a", "x7")}
    assert lists(f"{key}: '%(msg.number)s'") == {key: ("7",)}
    assert lists(f"{key}: {{lambda: \"[str(msg['i']), 'a']\"}}") == {key: ("1", "a")}


def test_usernames_is_another_name_of_users():
    assert lists("usernames: [alice]") == {"users": ("alice",)}
    assert lists("not_usernames: [alice]") == {"not_users": ("alice",)}


def test_a_template_for_a_list_selects_by_all_its_items():
    assert lists("packages: '%(msg.users)s'") == {"packages": ("Carol", "bob")}
    assert lists("packages: ['%(msg.users)s', dave]") == {"packages": ("Carol", "bob", "dave")}


@pytest.mark.parametrize("key", NAME_KEYS)
def test_users_and_agents_are_also_looked_up_in_lower_case(key):
    assert lists(f"{key}: '%(msg.user)s'") == {key: ("Alice", "alice")}


def test_other_filter_keys_keep_their_case():
    assert lists("topics: [A.b], packages: ['%(msg.user)s']") == {
        "topics": ("A.b",),
        "packages": ("Alice",),
    }


def test_numbers_in_a_list_of_a_filter_are_text():
    assert lists("packages: [7, 0x10, 2024]") == {"packages": ("0x10", "2024", "7")}


PEOPLE = [
    ({"name": "Alice", "fullname": "Alice A."}, ("Alice", "alice")),
    ([{"name": "alice"}, {"name": "bob"}], ("alice", "bob")),
    ([["alice"], [{"name": "bob"}, [["carol"]]]], ("alice", "bob", "carol")),
    ({"alice": 12, "bob": 3}, ("alice", "bob")),
    ({"name": 1, "alice": 2}, ("alice", "name")),
    (["alice", 7], ("7", "alice")),
    # A recipient takes the others, too.
    (["alice", None], ("alice",)),
    ([{"nick": "bob"}, {"name": "alice"}, True, "nul\0"], ("alice",)),
]


@pytest.mark.parametrize("key", ["users", "not_users", "agents", "not_agents", "usernames"])
@pytest.mark.parametrize(("people", "names"), PEOPLE, ids=repr)
def test_a_filter_on_people_finds_their_names_as_a_recipient_does(key, people, names):
    wanted = {key.replace("usernames", "users"): names}
    for template in ("'%(msg.who)s'", "['%(msg.who)s']", "{lambda: \"msg['msg']['who']\"}"):
        assert dict(fill(f"{key}: {template}", msg={"who": people}).lists) == wanted


def test_a_filter_on_people_may_have_several_templates():
    msg = {"who": [{"name": "alice"}], "all": {"bob": 1}}
    filled = fill("users: ['%(msg.who)s', '%(msg.all)s', Carol]", msg=msg)
    assert dict(filled.lists) == {"users": ("Carol", "alice", "bob", "carol")}


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([{"nick": "alice"}], "an object without 'name'"),
        ([{"name": 7, "fullname": "Alice A."}], "an object without 'name'"),
        ({"name": 7, "fullname": "Alice A."}, "an object without 'name'"),
        ({"name": None, "id": 7}, "an object without 'name'"),
        ([None], "nothing"),
        ([True], "yes or no"),
    ],
)
def test_what_is_no_name_in_a_filter_on_people_is_missing_with_its_place(value, what):
    for template in ("'%(msg.who)s'", "[bob, '%(msg.who)s']"):
        with pytest.raises(MissingValue) as caught:
            fill(f"users: {template}", msg={"who": value})
        assert str(caught.value) == f"users takes names, and %(msg.who)s has {what}"


@pytest.mark.parametrize("path", ["lacking", "nothing", "empty", "flag", "nul", "surrogate"])
@pytest.mark.parametrize("key", ["users", "topics", "not_packages", "contains"])
def test_a_filter_value_that_no_past_message_can_have_is_missing(key, path):
    with pytest.raises(MissingValue):
        fill(f"{key}: '%(msg.{path})s'")
    with pytest.raises(MissingValue):
        fill(f"{key}: ['%(msg.{path})s']")


@pytest.mark.parametrize("key", ["topics", "packages", "not_categories", "contains"])
def test_an_object_is_missing_where_a_filter_asks_for_other_things_than_people(key):
    with pytest.raises(MissingValue, match=f"^{key} takes text, and the message has an object$"):
        fill(f"{key}: '%(msg.object)s'")


@pytest.mark.parametrize("value", ["None", "[]", "{}", "[None]", "[[['deep']]]", "True"])
def test_a_lambda_that_returns_nothing_to_filter_by_is_missing(value):
    with pytest.raises(MissingValue):
        fill(f"topics: {{lambda: '{value}'}}".replace("'deep'", '"deep"'))


@pytest.mark.parametrize(
    "filter_text", ["msg_id: '%(msg.x)s'", "contains: '%(msg.x)s'", "contains: [a, '%(msg.x)s']"]
)
def test_an_empty_text_never_selects_every_past_message(filter_text):
    with pytest.raises(MissingValue, match="nothing to filter"):
        fill(filter_text, msg={"x": ""})


@pytest.mark.parametrize("text", ["%", "_%%_", " "])
def test_filter_text_has_no_special_characters(text):
    assert fill("msg_id: '%(msg.x)s'", msg={"x": text}).msg_id == text
    assert fill("contains: '%(msg.x)s'", msg={"x": text}).lists == (("contains", (text,)),)
    assert lists("contains: ['%', '_']") == {"contains": ("%", "_")}


ATTACKS = [
    "'; DROP TABLE messages; --",
    "%(topic)s",
    "%s %d",
    "\" or __import__('os').system('x') or \"",
    "{msg}",
    "a\nb",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_a_template_in_a_value_of_the_message_is_not_filled_in(text):
    found = fill("users: ['%(msg.user)s'], contains: ['<%(msg.user)s>']", msg={"user": text})
    assert dict(found.lists) == {
        "users": tuple(sorted({text, text.lower()})),
        "contains": (f"<{text}>",),
    }


def test_a_lambda_of_a_filter_sees_the_whole_message_and_its_templates():
    assert lists("packages: {lambda: \"[msg['msg']['user'], 'by %(msg.user)s']\"}") == {
        "packages": ("Alice", "by Alice")
    }
    assert lists("users: {lambda: '%(msg.users)s[:1]'}") == {"users": ("bob",)}
    assert lists("users: {lambda: \"['%(msg.user)s']\"}") == {"users": ("Alice", "alice")}
    with pytest.raises(MissingValue):
        fill("users: {lambda: \"['%(msg.lacking)s']\"}")


def test_a_lambda_of_a_filter_may_name_the_candidate():
    text = "users: {lambda: \"['%(recipient)s', 'bot-%(recipient)s']\"}"
    assert parse(text).names_recipient
    assert lists(text, recipient="dave") == {"users": ("bot-dave", "dave")}
    with pytest.raises(MissingValue):
        fill(text)


def test_percent_signs_of_a_lambda_of_a_filter_without_template_are_pythons_own():
    assert lists("packages: {lambda: \"['%d%%' % 7, '%s' % msg['i']]\"}") == {
        "packages": ("1", "7%")
    }


@pytest.mark.parametrize("text", ATTACKS)
def test_a_template_in_a_lambda_of_a_filter_is_no_program_text(text):
    for template in ("%(msg.user)s", "'%(msg.user)s'"):
        filled = fill(f'contains: {{lambda: "[{template}]"}}', msg={"user": text})
        assert dict(filled.lists) == {"contains": (text,)}


def test_recipient_stands_for_the_candidate():
    assert parse("users: ['%(recipient)s']").names_recipient
    assert lists("users: ['%(recipient)s']", recipient="dave") == {"users": ("dave",)}
    assert lists("users: '%(recipient)s'", recipient="dave") == {"users": ("dave",)}
    assert lists("contains: ['by %(recipient)s']", recipient="dave") == {"contains": ("by dave",)}


def test_a_filter_without_recipient_is_the_same_for_all_candidates():
    assert not parse("users: ['%(msg.user)s'], topics: [recipient]").names_recipient


def test_the_template_recipient_is_missing_without_a_candidate():
    with pytest.raises(MissingValue):
        fill("users: ['%(recipient)s']")


def test_a_field_recipient_of_the_message_is_not_the_candidate():
    filled = parse("users: ['%(recipient)s']").fill(message(recipient="mallory"), "alice")
    assert dict(filled.lists) == {"users": ("alice",)}
    with pytest.raises(MissingValue):
        fill("users: ['%(recipient)s']", recipient=None, msg={"recipient": "mallory"})


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("2023-11-01", datetime.datetime(2023, 11, 1)),
        ("2023-11-01 12:30:00", datetime.datetime(2023, 11, 1, 12, 30)),
        ("2023-11-01T12:30:00+02:00", datetime.datetime(2023, 11, 1, 10, 30)),
        ("'2023-11-01T12:30:00Z'", datetime.datetime(2023, 11, 1, 12, 30)),
        ("86400", datetime.datetime(1970, 1, 2)),
        ("86400.5", datetime.datetime(1970, 1, 2, 0, 0, 0, 500000)),
        ("30 seconds ago", NOW - datetime.timedelta(seconds=30)),
        ("5 minutes ago", NOW - datetime.timedelta(minutes=5)),
        ("1 hour ago", NOW - datetime.timedelta(hours=1)),
        ("30 days ago", NOW - datetime.timedelta(days=30)),
        ("2 weeks ago", NOW - datetime.timedelta(weeks=2)),
        ("6 months ago", NOW - datetime.timedelta(days=180)),
        ("1 year ago", NOW - datetime.timedelta(days=365)),
        ("'%(msg.age)s'", NOW - datetime.timedelta(days=2)),
        ("'%(msg.number)s days ago'", NOW - datetime.timedelta(days=7)),
        ("'%(timestamp)s'", NOW),
        ("{lambda: \"msg['timestamp'] - 60\"}", NOW - datetime.timedelta(minutes=1)),
        ("{lambda: 'datetime.datetime(2020, 1, 1)'}", datetime.datetime(2020, 1, 1)),
    ],
)
def test_start_and_end_are_points_in_time_or_ages_before_the_message(text, start):
    assert (fill(f"start: {text}").start, fill(f"start: {text}").end) == (start, END)
    assert (fill(f"end: {text}").start, fill(f"end: {text}").end) == (BEGINNING, start)


@pytest.mark.parametrize("path", ["lacking", "nothing", "odd_age", "users", "flag"])
def test_a_start_that_is_no_point_in_time_is_missing(path):
    with pytest.raises(MissingValue):
        fill(f"start: '%(msg.{path})s'")


@pytest.mark.parametrize("number", ["1e400", "-1e18", "float('nan')", "10**30"])
def test_an_age_before_the_beginning_of_time_is_missing(number):
    with pytest.raises(MissingValue):
        fill(f'end: {{lambda: "{number}"}}')


def test_msg_id_is_one_text():
    assert fill("msg_id: 2024-77") == FilledFilter((), msg_id="2024-77")
    assert fill("msg_id: '%(msg_id)s'") == FilledFilter((), msg_id="2024-1")
    with pytest.raises(MissingValue):
        fill("msg_id: '%(msg.users)s'")


def test_pages_are_separate_from_the_lists_of_a_filter():
    assert fill("topics: [a], page: 2, rows_per_page: 9999999, order: desc") == FilledFilter(
        (("topics", ("a",)),), pages=Pages(2, 9999999, "desc")
    )


def test_the_keys_of_a_filter_are_filled_in_together():
    found = fill("usernames: [a], not_topics: [b], msg_id: c, start: 2023-11-01")
    assert found == FilledFilter(
        (("not_topics", ("b",)), ("users", ("a",))),
        msg_id="c",
        start=datetime.datetime(2023, 11, 1),
        end=END,
    )


def test_filters_with_the_same_values_in_another_order_are_equal():
    first = fill("topics: [a, b], users: '%(msg.users)s'")
    second = fill("users: [Carol, bob, carol], topics: [b, a]")
    assert first == second
    assert hash(first) == hash(second)


def test_an_error_of_a_lambda_in_a_filter_is_raised():
    with pytest.raises(KeyError):
        fill("topics: {lambda: \"msg['lacking']\"}")
