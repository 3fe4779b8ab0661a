"""A count by values of templates is the number of messages that have just these values."""

import contextlib
import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from support.cached_history import operation

from fedbadges.rules.names import any_spelling, spellings

VALUES: tuple[Any, ...] = ("a", "A", "Alice", "alice", "1", 1, 1.0, True, None, 0, "")


@pytest.mark.parametrize(
    "text",
    [
        "len([m for m in query.all() if m.msg['x'] == %(v)s])",
        "sum(1 for m in query if '%(v)s' == m.msg['x'] and m.msg['y'])",
        "len([m for m in query if m.msg['y'] if m.msg['x'] == %(v)s and m.msg['x'] == m.msg['z']])",
        "len([m for m in query if 1 / m.msg['y'] and m.msg['x'] == 'x-%(v)s'])",
        "len([m for m in query if m.msg['y'] == %(v)s and m.msg['x'] == '%(v)s'])",
    ],
)
@pytest.mark.parametrize("spelled", [False, True])
def test_a_join_counts_what_the_test_counts(text: str, spelled: bool) -> None:
    expression = operation(text)
    assert expression.join is not None
    assert expression.test is not None
    for x, y, v in itertools.product((*VALUES, "x-a", [], {}), (0, 1, "a"), VALUES):
        message = SimpleNamespace(msg={"x": x, "y": y, "z": x})
        value = any_spelling(v) if spelled else v
        filled = (value,) * len(expression.paths)
        # What raises does not count.
        key: Any = ()
        expected = False
        with contextlib.suppress(ZeroDivisionError, TypeError):
            expected = bool(expression.test(message, filled))
        with contextlib.suppress(ZeroDivisionError, TypeError):
            key = expression.join.key(message, ())
        wanted = itertools.product(*map(spellings, expression.join.wanted(None, filled)))
        assert bool(key and key in list(wanted)) is expected, (x, y, v)


@pytest.mark.parametrize(
    "text",
    [
        "len([m for m in query.all() if m.msg['x'] != %(v)s])",
        "len([m for m in query.all() if m.msg['x'] == %(v)s or m.msg['y']])",
        "len([m for m in query.all() if m.msg['x'] == %(v)s and '%(v)s' in m.users])",
        "len([m for m in query.all() if m.msg['x'] == m.msg[%(v)s]])",
        "len([m for m in query.all() if m.msg['x'] == %(v)s == m.msg['y']])",
        "len([m for m in query.all() if m.msg['x']])",
        "len({m.msg['x'] for m in query.all() if m.msg['x'] == %(v)s})",
    ],
)
def test_nothing_else_is_a_join(text: str) -> None:
    assert operation(text).join is None
