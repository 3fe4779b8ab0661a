"""Fields in filters: which past messages count."""

import contextlib
import datetime
import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from support.cached_history import operation
from support.field_checks import CHECKS, MESSAGES, expected, filled
from support.rule_text import assert_mistakes, load, message

from fedbadges.errors import MissingValue
from fedbadges.history.folds import RunningFold, take
from fedbadges.rules.expressions import Expression
from fedbadges.rules.names import spellings
from fedbadges.rules.past_fields import PastFields, narrowed

TOPIC = "org.fedoraproject.prod.git.receive"


def filter_text(fields: str, operation: str = "count", more: str = "") -> str:
    return f"""\
criteria:
  filter: {{topics: [a], fields: {fields}{more}}}
  operation: {operation}
  condition: {{greater than: 3}}
"""


def fields_of(fields: Any) -> PastFields:
    text = yaml.safe_dump(fields, default_flow_style=True, width=10**6).strip()
    found = load(filter_text(text)).criteria.criterion.filter.fields
    assert isinstance(found, PastFields)
    return found


def counting(fields: Any) -> Expression:
    return narrowed(None, fields_of(fields))


def past(msg: Any, topic: str = TOPIC) -> Any:
    return SimpleNamespace(msg=msg, topic=topic, timestamp=datetime.datetime(2024, 1, 1))


def counts(expression: Expression, msg: Any, incoming: Any = None) -> bool:
    """Return if a past message counts for one that triggers the rule."""
    values = expression.fill(message(msg=incoming or {}).body)
    assert expression.test is not None
    return bool(expression.test(past(msg), values))


def unfilled(check: Any, msg: dict[str, Any]) -> bool:
    """Return True if a message lacks what a template in a check reads."""
    parts = [check]
    if isinstance(check, (dict, list)):
        parts = list(check.values() if isinstance(check, dict) else check)
        return any(unfilled(each, msg) for each in parts)
    with contextlib.suppress(KeyError):
        filled(check, msg)
        return False
    return True


@given(CHECKS, MESSAGES, MESSAGES)
@example({"any": [{"is not": "%(msg.y)s"}, 1]}, {"x": 1}, {"y": 1})
def test_a_past_message_counts_if_it_has_what_the_incoming_one_asks_for(
    check: Any, msg: dict[str, Any], incoming: dict[str, Any]
) -> None:
    expression = counting({"msg.x": check})
    if unfilled(check, incoming):
        with pytest.raises(MissingValue):
            counts(expression, msg, incoming)
        return
    answers = expected(check, {**incoming, "x": msg["x"]} if "x" in msg else
                       {key: each for key, each in incoming.items() if key != "x"})  # fmt: skip
    assert counts(expression, msg, incoming) is (answers is True)


@given(CHECKS, MESSAGES, MESSAGES)
@example("%(msg.y)s", {"x": "a"}, {"y": "a"})
@example({"all": ["a%(msg.z)s", {"length": 2}]}, {"x": "a1"}, {"z": 1})
@example({"equal to": "%(msg.y)s", "is not": 1}, {"x": True}, {"y": 1})
def test_a_join_counts_what_the_test_counts(
    check: Any, msg: dict[str, Any], incoming: dict[str, Any]
) -> None:
    expression = counting({"msg.x": check, "msg.y": {"exists": True}})
    if expression.join is None or unfilled(check, incoming):
        return
    values = expression.fill(message(msg=incoming).body)
    key = expression.join.key(past(msg), ())
    wanted = itertools.product(*map(spellings, expression.join.wanted(None, values)))
    assert bool(key and key in list(wanted)) is counts(expression, msg, incoming)


@pytest.mark.parametrize(
    "check", ["%(msg.y)s", "a%(msg.z)s", {"all": ["%(msg.y)s", {"is not": 1}]}]
)
def test_a_comparison_with_a_template_is_a_join(check: Any) -> None:
    assert counting({"msg.x": check, "msg.y": 1}).join is not None


@pytest.mark.parametrize(
    "check", [1, {"is not": "%(msg.y)s"}, {"any": ["%(msg.y)s", 1]}, {"contains": "%(msg.y)s"}]
)
def test_nothing_else_is_a_join(check: Any) -> None:
    assert counting({"msg.x": check}).join is None


def test_a_name_equals_its_spelling_in_lower_case_where_the_rule_says_that_it_is_one() -> None:
    rule = load(filter_text("{msg.author: '%(msg.user)s'}") + "recipient: '%(msg.user)s'\n")
    expression = rule.criteria.criterion.operation.expression
    assert [counts(expression, {"author": name}, {"user": "Alice"})
            for name in ("Alice", "alice", "ALICE")] == [True, True, False]  # fmt: skip


def test_paths_reach_into_lists_and_keys_with_dots_and_the_topic() -> None:
    fields = {"msg.l.0": 1, "msg.a.b.c": 2, "msg": {"contains": "l"}, "topic": {"ends with": "ive"}}
    expression = counting(fields)
    assert counts(expression, {"l": [1], "a.b": {"c": 2}})
    assert not counts(expression, {"l": [2], "a.b": {"c": 2}})
    assert not counts(expression, {"l": [1], "a.b": {}})


def test_templates_may_stand_for_users_and_for_the_candidate() -> None:
    expression = counting({"msg.author": {"any": ["%(usernames.0)s", "%(recipient)s"]}})
    sent = replace(message(recipient="eve"), known_users=frozenset(["ann"])).values
    values = replace(expression, recipient="bob").fill(sent)
    assert values == ("ann", "bob")
    with pytest.raises(MissingValue):
        expression.fill(sent)


def test_the_filter_names_the_candidate_where_its_fields_do() -> None:
    rule = load(filter_text("{msg.author: {is not: '%(recipient)s'}}"))
    assert rule.names_recipient
    assert not load(filter_text("{msg.author: {is not: '%(msg.user)s'}}")).names_recipient


def test_no_path_reads_as_two_fields_in_the_text() -> None:
    assert counting({"msg.a: 1, msg.b": 2}) != counting({"msg.a": 1, "msg.b": 2})


def test_the_text_of_an_expression_differs_where_the_fields_do() -> None:
    checks: list[Any] = [1, "1", 1.0, True, None, "%(msg.y)s", "%%(msg.y)s", {"is not": 1}]
    checks += [{"any": [1]}, {"all": [1]}, {"not": 1}, {"exists": True}, {"exists": False}]
    checks += [{"length": 1}, {"greater than": 1}, {"greater than": "1"}, {"contains": "1"}]
    texts = {counting({"msg.x": check}).text for check in checks}
    assert len(texts) == len(checks)


def test_a_fold_over_narrowed_messages_is_that_over_those_that_pass() -> None:
    messages = [past({"n": n, "x": n % 3}) for n in range(10)]
    plain = operation("sum(m.msg['n'] for m in query)")
    chosen = narrowed(plain, fields_of({"msg.x": "%(msg.x)s"}))
    values = chosen.fill(message(msg={"x": 1}).body)

    assert chosen.fold is not None
    running = RunningFold(chosen.fold)
    for each in messages:
        running.add(take(chosen.fold, each, values))
    expected_sum = 1 + 4 + 7
    assert running.result(values) == chosen.function(messages, values) == expected_sum


# Mistakes


def test_fields_alone_would_read_everything() -> None:
    text = "a filter by 'fields' alone would read every message there is; add 'topics'"
    body = filter_text("{msg.x: 1}").replace("{topics: [a], fields", "→{fields")
    assert_mistakes(body, text)


@pytest.mark.parametrize("path", ["username", "timestamp", "category", "x.msg"])
def test_a_path_of_a_past_message_begins_with_what_is_stored(path: str) -> None:
    assert_mistakes(
        filter_text(f"{{→{path}: 1, msg.x: 1}}"),
        f"past messages have no '{path}'; a path begins with 'msg' or 'topic'",
    )


def test_a_lambda_does_not_see_fields() -> None:
    assert_mistakes(
        filter_text("{msg.x: 1}", "{lambda: query.count()}").replace("fields", "→fields"),
        "a lambda sees whatever the other keys of the filter select; say in the lambda what "
        "'fields' says, or use another operation, such as 'count'",
    )


def test_mistakes_below_fields_of_a_filter_have_their_places() -> None:
    assert_mistakes(
        filter_text("{msg.x: →[1], msg.y: '→%(a'}"),
        "'msg.x' is compared with one value, and this is a list; to name several, write "
        "'msg.x: {any: […]}'",
        "a template that does not end in ')s'; write it as %(msg.user)s",
    )
