"""Rules in the dialect of fedbadges 2.x: what they may say, and where their mistakes are."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.rule_text import METADATA, PARSING, message, mistakes
from support.rules_of_2 import TEXTS
from support.schemas import as_json

from fedbadges.criteria.datanommer import past_messages
from fedbadges.errors import MissingValue, RuleError
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule
from fedbadges.rules.series import file_schema
from fedbadges.rules.yaml_document import parse_document

TRIGGER = "trigger: {topic: git.receive}\n"

PREVIOUS = """\
previous:
  filter:
    users: [recipient]
  operation: count
"""


def load(body: str, dialect: str = "fedbadges-1") -> Rule:
    text = f"{METADATA}{body}"
    (rule,) = load_text(text.encode(), "rule.yml", PARSING, dialect=dialect)
    return rule


def filled(value: str, key: str = "users", **fields: Any) -> FilledFilter:
    """Return what a filter looks for if a value stands below its key."""
    criterion = past_messages(load(f"{TRIGGER}{filter_of(key, value)}").criteria)
    assert criterion is not None
    return criterion.filter.fill(message(**fields), "alice")


def filter_of(key: str, value: str) -> str:
    return f"previous:\n  filter:\n    {key}: {value}\n  operation: count\n"


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("[recipient]", {"alice"}),
        ("recipient", {"alice"}),
        ("[bob, recipient]", {"alice", "bob"}),
        ("['message.body[\"user\"]']", {"carol"}),
        ('\'message.body["people"][0]["name"]\'', {"dan"}),
        ('\'[each["name"] for each in message.body["people"]]\'', {"dan", "eve"}),
        ("'[recipient, message.body[\"user\"]]'", {"alice", "carol"}),
        ("['message.body.get(\"nobody\", recipient)']", {"alice"}),
        ('["f\'{recipient}-{message.body[\\"n\\"]}\'"]', {"alice-7"}),
        ("'recipient if message.body[\"n\"] == 7 else None'", {"alice"}),
        ("[7, yes, \"'a b'\"]", {"7", "yes", "a b"}),
        ("[io.pagure.prod.pull-request.new]", {"io.pagure.prod.pull-request.new"}),
    ],
)
def test_value_of_a_filter_is_an_expression(value: str, texts: set[str]) -> None:
    body = {"user": "carol", "people": [{"name": "dan"}, {"name": "eve"}], "n": 7}

    found = filled(value, msg=body)

    assert found.lists == (("users", tuple(sorted(texts))),)


def test_message_has_what_one_of_fedora_messaging_has() -> None:
    expression = (
        "[message.id, message.topic, str(message.severity), message._headers['sent-at'], "
        "message.headers['a'], message._properties.headers['a'], message.summary, "
        "str(message.agent_name), str(message.usernames), str(message.groups)]"
    )
    headers = {"a": "x", "fedora_messaging_severity": 30, "fedora_messaging_group_infra": True}

    found = filled(f'"{expression}"', key="topics", headers=headers)

    topic = "org.fedoraproject.prod.git.receive"
    assert set(found.lists[0][1]) == {
        "2024-1", topic, "30", "2023-11-14T22:13:20+00:00", "x", "None", "[]", "['infra']",
    }  # fmt: skip


def test_missing_value_is_one_that_the_message_lacks() -> None:
    with pytest.raises(MissingValue, match=r"msg\.user"):
        filled("['message.body[\"user\"]']")


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ("2024-01-31", "2024-01-31 00:00:00"),
        ("datetime.datetime(2024, 1, 31)", "2024-01-31 00:00:00"),
        ("10 days ago", "2023-11-04 22:13:20"),
        ("message.body['since']", "2020-01-01 00:00:00"),
        ("1500000000", "2017-07-14 02:40:00"),
    ],
)
def test_start_is_a_date_an_age_or_an_expression(value: str, start: str) -> None:
    found = filled(value, key="start", msg={"since": "2020-01-01"})
    assert str(found.start) == start


def test_value_is_one_and_enough_without_previous() -> None:
    rule = load(f"{TRIGGER}recipient: message.agent_name\n")
    assert rule.dialect == "fedbadges-2"
    assert not rule.needs_history
    assert str(rule.recipient) == "message.agent_name"


def test_criteria_are_judged_for_each_candidate() -> None:
    assert load(f"{TRIGGER}{filter_of('topics', 'message.topic')}").names_recipient


@pytest.mark.parametrize(
    ("operation", "kept"),
    [
        ("len([r for r in results if r.msg['n'] == message.body['n']])", True),
        ("len([r for r in results if r.msg['n'] == message.body.get('n')])", False),
        ("len({r.msg['n'] for r in results})", True),
        ("sum(r.msg['n'] for r in results)", True),
        ("len([r for r in results if 'n' in message.body or message.body['m']])", False),
        ("results[0].msg['n']", False),
    ],
)
def test_counting_lambda_is_kept_as_in_the_other_dialect(operation: str, kept: bool) -> None:
    asked = f'{{filter: {{users: recipient}}, operation: {{lambda: "{operation}"}}}}'
    text = f"{TRIGGER}previous: {asked}\n"
    criterion = past_messages(load(text).criteria)
    assert criterion is not None
    expression = criterion.operation.expression
    assert expression is not None
    assert (expression.test is not None or expression.fold is not None) is kept


OF_2 = "dialect: fedbadges-2\n"


@pytest.mark.parametrize(
    ("recipient", "column", "text"),
    [
        ("message.agent_nam", 12, "a message has no 'agent_nam'; did you mean 'agent_name'?"),
        ("mesage[0]", 12, "a recipient has no name 'mesage'; did you mean 'message'?"),
        ("recipient[0]", 12, "a recipient has no name 'recipient'; expected 'message'"),
        ("alice", 12, "a recipient is an expression such as message.agent_name"),
        ("message.body['a'", 24, "a recipient does not compile: '[' was never closed"),
        (
            "print message",
            12,
            "a recipient does not compile: Missing parentheses in call to 'print'",
        ),
        ("message <> 'a'", 20, "a recipient does not compile: invalid syntax"),
        (
            "'lambda message: 1'",
            13,
            "the lambda does not compile: write the expression alone, without 'lambda message:'",
        ),
    ],
)
def test_mistake_in_a_recipient_has_its_place(recipient: str, column: int, text: str) -> None:
    (found,) = mistakes(f"{METADATA}{TRIGGER}recipient: {recipient}\n{OF_2}")
    assert found.startswith(f"rule.yml:7:{column}: {text}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            TRIGGER + filter_of("topics", '["%(topic)s"]'),
            ["9:15: a template is of another dialect; here write message.body['user'] and"],
        ),
        (
            f"{TRIGGER}{filter_of('topics', '[message.topic, message.foo]')}",
            ["9:29: a message has no 'foo'; expected 'agent_avatar', 'agent_name', 'app_icon', "
             "'app_name', 'body', 'containers', 'flatpaks', 'groups', 'headers', 'id', 'modules', "
             "'packages', 'priority', 'queue', 'severity', 'summary', 'topic', 'url' or "
             "'usernames'"],
        ),
        (
            f"{TRIGGER}{filter_of('user', 'recipient')}condition: {{at least: 3}}\n",
            ["9:5: unknown key 'user' in a filter; did you mean 'users'? There are "],
        ),
        (
            f"{TRIGGER}previous: {{filter: {{users: recipient}}, operation: cont}}\n",
            ["7:51: an operation is 'count' or 'lambda: …' over message and results, not 'cont'"],
        ),
        (
            f"{TRIGGER}previous: {{filter: {{users: recipient}}}}\n",
            ["7:11: missing key 'operation' in 'previous'"],
        ),
        (
            f"{TRIGGER}{filter_of('start', 'soon')}",
            ["9:12: 'start' is a date, seconds since 1970, an age such as '30 days ago' or an "
             "expression"],
        ),
        (
            f"{TRIGGER}{filter_of('rows_per_page', 'many')}",
            ["9:20: 'rows_per_page' is a whole number, at least 0"],
        ),
        (
            "trigger: {lambda: message.boddy}\n",
            ["6:19: a message has no 'boddy'; did you mean 'body'?"],
        ),
        (
            f"{TRIGGER}{PREVIOUS}criteria: {{not: {{}}}}\n",
            ["11:1: 'criteria' is of the dialect 'fedbadges-1', and 'previous' in line 7 is of "
             "'fedbadges-2'; a rule is in one of them"],
        ),
        (
            f"trigger: {{lambda: \"msg['a']\"}}\n{PREVIOUS}recipient: \"%(msg.a)s\"\n",
            ["7:1: 'previous' is of the dialect 'fedbadges-2', and a lambda over 'msg' in line 6 "
             "is of 'fedbadges-1'; a rule is in one of them"],
        ),
        (
            f"{TRIGGER}dialect: fedbadges-1\nrecipient: message.agent_name\n",
            ["8:12: a recipient over 'message' is of the dialect 'fedbadges-2', and 'dialect' in "
             "line 7 is of 'fedbadges-1'; a rule is in one of them"],
        ),
        (
            f"{TRIGGER}dialect: fedbadges-3\n",
            ["7:10: 'fedbadges-3' is no dialect; did you mean "],
        ),
    ],
)  # fmt: skip
def test_mistake_has_its_place(body: str, expected: list[str]) -> None:
    found = mistakes(f"{METADATA}{body}")
    shortened = [
        each.removeprefix("rule.yml:")[: len(text)]
        for each, text in zip(found, expected, strict=False)
    ]
    assert shortened == expected


@pytest.mark.parametrize(
    ("body", "dialect"),
    [
        ("recipient: '%(msg.message)s'\n", "fedbadges-1"),
        ("trigger: {lambda: \"msg['message']\"}\n", "fedbadges-1"),
        ("trigger: {lambda: \"any(message for message in msg['msg']['a'])\"}\n", "fedbadges-1"),
        ('trigger: {lambda: "message.topic"}\n', "fedbadges-2"),
        ("condition: {equal to: 1}\n", "fedbadges-2"),
        ("dialect: fedbadges-2\n", "fedbadges-2"),
        ("", "fedbadges-1"),
    ],
)
def test_dialect_is_that_of_what_a_rule_says(body: str, dialect: str) -> None:
    assert load(body if "trigger" in body else TRIGGER + body).dialect == dialect


def test_dialect_of_the_deployment_counts_where_nothing_tells() -> None:
    assert load(TRIGGER, "fedbadges-2").dialect == "fedbadges-2"
    assert load(f"{TRIGGER}recipient: '%(msg.a)s'\n", "fedbadges-2").dialect == "fedbadges-1"


SCHEMA = Draft202012Validator(file_schema(PARSING))


def errors(text: str) -> list[str]:
    document = parse_document(text.encode(), "rule.yml")
    return [error.message for error in SCHEMA.iter_errors(as_json(document))]


@pytest.mark.parametrize("name", TEXTS)
def test_schema_takes_what_is_read(name: str) -> None:
    assert mistakes(TEXTS[name]) == []
    assert errors(TEXTS[name]) == []


@pytest.mark.parametrize(
    "body",
    [
        f"{PREVIOUS}condition: {{equals: 1}}\n",
        PREVIOUS.replace("users", "user"),
        PREVIOUS.replace("[recipient]", "[]"),
        PREVIOUS.replace("count", "cont"),
        f"{PREVIOUS}criteria: {{not: {{}}}}\n",
        "recipient: message.topic\nconditions: {equal to: 1}\n",
        "recipient: message.topic\nrecipient_nick2fas: 1\n",
        "dialect: fedbadges-2\nexcept: '%(msg.a)s'\n",
        "dialect: fedbadges-3\n",
    ],
)
def test_schema_refuses_mistakes(body: str) -> None:
    text = METADATA + TRIGGER + body
    assert mistakes(text) != []
    assert errors(text) != []


@pytest.mark.parametrize(
    ("body", "allowed"),
    [
        (PREVIOUS, True),
        ("recipient: message.body['user']['name']\n", True),
        ("recipient: message.body['user'].lower()\n", False),
        (PREVIOUS.replace("[recipient]", "[recipient + 'x']"), False),
        (PREVIOUS.replace("count", "{lambda: len(results) + 1}"), False),
        (f"{PREVIOUS}condition: {{lambda: value > 1}}\n", False),
    ],
)
def test_plain_values_are_no_python(body: str, allowed: bool) -> None:
    data = f"{METADATA}{TRIGGER}dialect: fedbadges-2\n{body}".encode()
    try:
        load_text(data, "rule.yml", PARSING, lambdas=False)
    except RuleError as error:
        assert not allowed
        (problem,) = error.problems
        assert problem.text.startswith("lambdas are not allowed here; ")
    else:
        assert allowed
