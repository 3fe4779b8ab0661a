"""Whatever ``check --fix`` rewrites triggers and counts as before, for messages of every kind."""

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.rule_text import PARSING, complete, load, message
from support.sizes import size

from fedbadges.lint.fixes.fixer import Fixer
from fedbadges.rules.expressions import Expression
from fedbadges.rules.operators import RULE_ERRORS

literals = st.sampled_from(("0", "1", "'x'", "'xy'", "''", "None", "2.5"))
keys = st.sampled_from(("a", "b", "c"))


@st.composite
def accesses(draw: Any, root: str) -> str:
    """Yield expressions that read a field, some of them with a default."""
    text = root
    for key in draw(st.lists(keys, min_size=1, max_size=2)):
        default = draw(st.sampled_from(("", ", {}", ", None", ", ''", ", 0", "[]")))
        text += f"['{key}']" if default == "[]" else f".get('{key}'{default})"
    return text


@st.composite
def comparisons(draw: Any, root: str) -> str:
    field = draw(accesses(root))
    form = draw(
        st.sampled_from(
            (
                *("{} == {}", "{} != {}", "{} is {}", "{} is not {}", "{} > {}", "{} <= {}"),
                *("{1} == {0}", "{1} < {0}", "{1} in {0}", "{1} not in {0}", "{0} in [{1}, 'x']"),
                *("{} not in (1, {})", "len({}) > 1", "len({}) == 0", "{}", "not {}", "bool({})"),
                *("{}.startswith('x')", "not {}.endswith(('x', 'y'))", "0 < {} < 2"),
                *("{}.endswith('y') is False", "({} == {}) != True", "True is ({} > {})"),
                *("re.match('x', {})", "re.match('^x$', {})", "re.search('y$', {}) is None"),
                *("re.search('.*x', {})", "re.search(r'^x.*', {})", "re.fullmatch('x', {})"),
                *(r"re.match(r'x\Z', {})", "re.match('.*x', {})", "re.match('x.*', {}) == True"),
            )
        )
    )
    return "(" + form.format(field, draw(literals)) + ")"


def expressions(root: str) -> st.SearchStrategy[str]:
    return st.recursive(
        comparisons(root),
        lambda inner: st.one_of(
            st.builds("({} and {})".format, inner, inner),
            st.builds("({} or {})".format, inner, inner),
            st.builds("(not {})".format, inner),
            st.builds("({} if {} else False)".format, inner, inner),
            st.builds("(True if {} else {})".format, inner, inner),
            st.builds("any([{}, {}])".format, inner, inner),
        ),
        max_leaves=3,
    )


values = st.one_of(
    st.sampled_from(
        (None, 0, 1, 2, 2.5, "x", "xy", "yx", "x\n", "y\nx", "", [], ["x"], [1, None], {}, {"x": 1})
    ),
)
contents = st.dictionaries(keys, values | st.dictionaries(keys, values), max_size=3)


def verdict(trigger: Any, content: Any) -> bool | None:
    """Return whether a trigger holds; None where it raises an exception."""
    try:
        return bool(trigger.holds(message(msg=content)))
    except RULE_ERRORS:
        return None


@given(expression=expressions("msg['msg']"), found=st.lists(contents, min_size=3, max_size=8))
@examples(max_examples=size(80, 20_000), deadline=None)
def test_a_rewritten_trigger_holds_of_the_same_messages(expression: str, found: list[Any]) -> None:
    body = yaml.safe_dump({"trigger": {"lambda": expression}}, width=10_000)
    fixed = Fixer(PARSING).fix(complete(body).encode(), "rule.yml")
    assume(fixed.changes)
    old, new = load(body).trigger, load(fixed.after.decode()).trigger
    for content in found:
        before = verdict(old, content)
        assert before is None or bool(verdict(new, content)) is before


@pytest.mark.parametrize(
    "form", ["len([m for m in query if {}])", "len({{m.msg['a'] for m in query if {}}})"]
)
@given(test=expressions("m.msg"), past=st.lists(contents, max_size=6))
@examples(max_examples=size(40, 10_000), deadline=None)
def test_a_rewritten_operation_has_the_same_value(form: str, test: str, past: list[Any]) -> None:
    asked = {
        "filter": {"topics": ["%(topic)s"], "usernames": ["%(msg.user)s"]},
        "operation": {"lambda": form.format(test)},
        "condition": {"greater than": 1},
    }
    body = yaml.safe_dump({"criteria": asked}, sort_keys=False, width=10_000)
    fixed = Fixer(PARSING).fix(complete(body).encode(), "rule.yml")
    assume(fixed.changes)
    old, new = (
        load(text).criteria.criterion.operation.expression for text in (body, fixed.after.decode())
    )
    try:
        before = result(old, past)
    except RULE_ERRORS:
        return
    assert result(new, past) == before


def result(expression: Expression | None, past: list[Any]) -> Any:
    """Return what an operation makes of messages; None is a count."""
    start = datetime(2024, 1, 1)
    rows = [
        SimpleNamespace(msg=each, topic="a.b", timestamp=start + timedelta(days=day))
        for day, each in enumerate(past)
    ]
    if expression is None:
        return len(rows)
    if expression.test is None:
        return expression(rows, ())
    return sum(passes(expression, row) for row in rows)


def passes(expression: Expression, row: Any) -> bool:
    try:
        return bool(expression.test and expression.test(row, ()))
    except RULE_ERRORS:  # it does not count
        return False
