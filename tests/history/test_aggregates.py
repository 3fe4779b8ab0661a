"""Operations without Python: kept in any order, each is what it makes of all messages."""

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.sizes import size

from fedbadges.errors import MissingValue
from fedbadges.history import aggregate_values, fold_cache
from fedbadges.history.fold_values import NotKept
from fedbadges.history.folds import RunningFold, take
from fedbadges.rules.aggregates import OF_DAYS, OF_FIELD
from fedbadges.rules.expressions import Expression
from fedbadges.rules.templates import TemplatePath

START = datetime(2024, 2, 27, 12)
LACKING = object()

NAMES = (*OF_DAYS, *OF_FIELD)


@dataclass
class Past:
    """A past message with one field."""

    number: int
    timestamp: datetime
    msg: Any
    topic: str = "org.example.topic"


def expression(name: str) -> Expression:
    if name in OF_DAYS:
        return OF_DAYS[name].expression(name)
    return OF_FIELD[name].expression(name, TemplatePath("msg.a.b"))


def expected(name: str, past: Iterable[Past]) -> Any:
    """Compute an operation in the plainest way; None where it has no result."""
    past = list(past)
    days = {each.timestamp.date() for each in past}
    values = [each.msg["a"]["b"] for each in past if "b" in each.msg.get("a", {})]
    numbers = [
        each
        for each in values
        if isinstance(each, (int, float)) and not isinstance(each, bool) and math.isfinite(each)
    ]
    if name == "count distinct days":
        return len(days)
    if name == "longest streak of days":
        return max((streak_from(day, days) for day in days), default=0)
    if name == "count distinct":
        values = ["NaN" if value != value else value for value in values]
        return sum(value not in values[:place] for place, value in enumerate(values))
    if name == "sum":
        return float(sum(map(Fraction, numbers)))
    choose = max if name == "largest" else min
    return choose(numbers, default=None)


def streak_from(day: date, days: set[date]) -> int:
    return next(n for n in itertools.count() if day + timedelta(days=n) not in days)


def outcome(running: Any) -> Any:
    try:
        return running()
    except MissingValue:
        return None


values = st.one_of(
    st.just(LACKING),
    st.integers(-3, 3),
    st.floats(-10, 10),
    st.sampled_from(
        (None, True, "1", "a", "b" * 200, [], [1], {"a": 1}, {"c": 1, "a": 2}, math.nan, math.inf)
    ),
)
messages = st.lists(
    st.tuples(values, st.integers(0, 12 * 24)).map(
        lambda pair: (
            {} if pair[0] is LACKING else {"a": {"b": pair[0]}},
            START + timedelta(hours=pair[1]),
        )
    ),
    max_size=12,
).map(lambda found: [Past(number, sent, msg) for number, (msg, sent) in enumerate(found)])


@pytest.mark.parametrize("name", NAMES)
@example([Past(n, START, {"a": {"b": each}}) for n, each in enumerate((0.1, 0.2, 0.3, 10**30))])
@given(past=messages)
@examples(max_examples=size(100, 5000), deadline=None)
def test_an_operation_is_the_same_however_it_is_computed(name: str, past: list[Past]) -> None:
    made = expression(name)
    fold = made.fold
    assert fold is not None
    running, last = RunningFold(fold), (datetime.min, 0)

    for number, each in enumerate(past, 1):
        position = each.timestamp, each.number
        fold_cache._add_one(running, take(fold, each, ()), position, last)
        last = max(last, position)
        found = outcome(running.result)
        assert found == expected(name, past[:number])
        assert outcome(lambda: made(iter(past[:number]))) == found  # noqa: B023
        stored = json.loads(json.dumps(running.plain()))
        assert outcome(RunningFold.of(fold, stored).result) == found
        assert outcome(running.copy().result) == found
        running = RunningFold.of(fold, stored)


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_has_a_state_of_its_own(name: str) -> None:
    fold = expression(name).fold
    assert fold is not None
    running = RunningFold(fold)
    for day in (0, 1, 5):
        running.add(take(fold, Past(day, START + timedelta(days=day), {"a": {"b": day}}), ()))
    before, copied = running.result(), running.copy()
    for day in (-3, 2, 9):
        copied.add(take(fold, Past(day, START + timedelta(days=day), {"a": {"b": day}}), ()))
    assert running.result() == before
    assert copied.result() != before


@pytest.mark.parametrize("name", ["largest", "smallest"])
def test_no_number_at_all_is_neither_large_nor_small(name: str) -> None:
    fold = expression(name).fold
    assert fold is not None
    with pytest.raises(MissingValue, match=f"no past message has a number for '{name}: msg.a.b'"):
        RunningFold(fold).result()


def test_runs_of_days_that_are_too_many_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate_values, "MOST_DISTINCT", 3)
    fold = expression("longest streak of days").fold
    assert fold is not None
    running = RunningFold(fold)
    for day in (*range(50), 60, 70):
        running.add(take(fold, Past(day, START + timedelta(days=day), {}), ()))
    assert running.result() == 50
    assert running.size == 3
    running.add(take(fold, Past(80, START + timedelta(days=80), {}), ()))
    with pytest.raises(NotKept):
        running.result()


def test_numbers_that_python_cannot_add_are_none() -> None:
    past = [Past(n, START, {"a": {"b": each}}) for n, each in enumerate((10**200, 1e200, 2, 0.5))]
    assert expression("sum")(past) == 2.5
    assert expression("largest")(past) == 2
