"""What was seen of a history, and which messages a base has."""

import datetime

import pytest

from fedbadges.history.horizon import Base, Horizon

MOMENT = datetime.datetime(2026, 1, 1)
TICK = datetime.timedelta(microseconds=1)


@pytest.mark.parametrize(("number", "seen"), [(1, True), (5, True), (6, False), (3, False)])
def test_everything_up_to_the_mark_was_seen_but_for_the_gaps(number: int, seen: bool) -> None:
    assert Horizon(5, frozenset({3})).has(number) is seen


def test_nothing_was_seen_of_an_empty_history() -> None:
    assert not Horizon(0).has(1)


@pytest.mark.parametrize(
    ("sent", "number", "has"),
    [
        (MOMENT, 5, True),
        (MOMENT + TICK, 5, False),
        (MOMENT, 6, False),
        (MOMENT - TICK, 3, False),
    ],
)
def test_base_has_what_was_sent_before_it_ends_and_was_seen(
    sent: datetime.datetime, number: int, has: bool
) -> None:
    assert Base(MOMENT, Horizon(5, frozenset({3}))).has(sent, number) is has


@pytest.mark.parametrize(
    ("until", "mark", "extends"),
    [
        (MOMENT, 5, True),
        (MOMENT + TICK, 6, True),
        (MOMENT - TICK, 6, False),
        (MOMENT + TICK, 4, False),
    ],
)
def test_base_extends_another_that_neither_ends_later_nor_has_seen_more(
    until: datetime.datetime, mark: int, extends: bool
) -> None:
    base = Base(until, Horizon(mark))

    assert base.extends(Base(MOMENT, Horizon(5))) is extends
    assert base.extends(None)


@pytest.mark.parametrize(
    ("gaps", "others", "extends"),
    [({3}, {3, 4}, True), ({3}, set(), False), ({6}, set(), True), (set(), {3}, True)],
)
def test_base_extends_none_that_has_seen_one_of_its_gaps(
    gaps: set[int], others: set[int], extends: bool
) -> None:
    base = Base(MOMENT, Horizon(7, frozenset(gaps)))

    assert base.extends(Base(MOMENT, Horizon(5, frozenset(others)))) is extends
