"""The figures of ``fedbadges preview``: bins, thresholds and periods."""

import operator
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rule_text import load

from fedbadges.cli.preview.figures import (
    LIMIT,
    Distribution,
    count_by_period,
    distribution_of,
)

NUMBERS = st.integers(-3, 40) | st.integers(-(10**6), 10**6) | st.integers()
OWN = st.integers(-3, 40) | st.integers(-(10**6), 10**6) | st.integers(-LIMIT + 1, LIMIT)
COUNTS = st.builds(
    Distribution,
    st.lists(NUMBERS.filter(lambda number: abs(number) <= LIMIT)).map(
        lambda numbers: {f"user{place}": number for place, number in enumerate(numbers)}
    ),
    st.none() | OWN,
    st.just(""),
)
SERIES = st.builds(
    lambda counts, owns: Distribution(counts.peaks, owns[0], "", tuple(owns[1:])),
    COUNTS,
    st.lists(OWN, min_size=1, max_size=6, unique=True).map(sorted),
)
QUESTION = """\
criteria:
  filter: {topics: ["%%(topic)s"], users: ["%%(recipient)s"]}
  operation: count
  condition: {%s}
"""


def counted(condition: str, peaks: dict[str, int], earners: set[str]) -> Distribution | None:
    return distribution_of(load(QUESTION % condition).criteria, peaks, earners)


@given(COUNTS | SERIES)
def test_every_person_is_in_one_bin(counts: Distribution) -> None:
    assert sum(each.people for each in counts.bins) == len(counts.peaks)
    for each in counts.bins:
        inside = [
            number
            for number in counts.peaks.values()
            if each.low <= number and (each.high is None or number < each.high)
        ]
        assert each.people == len(inside)


@given(COUNTS | SERIES)
def test_bins_are_contiguous_and_few(counts: Distribution) -> None:
    assert all(before.high == after.low for before, after in pairwise(counts.bins))
    assert all(each.high is None or each.low < each.high for each in counts.bins)
    assert len(counts.bins) < 60


@given(COUNTS | SERIES)
def test_no_bin_spans_a_threshold(counts: Distribution) -> None:
    if counts.own is None:
        assert {each.awarded for each in counts.bins} <= {None}
        return
    assert sum(each.people for each in counts.bins if each.awarded) == counts.awards(counts.own)
    if counts.peaks:
        assert {*counts.owns} <= {each.low for each in counts.bins}


@given(COUNTS | SERIES)
def test_awards_decrease_with_higher_thresholds(counts: Distribution) -> None:
    awards = [each.awards for each in counts.thresholds]

    assert awards == sorted(awards, reverse=True)
    assert tuple(each.at_least for each in counts.thresholds if each.own) == counts.owns
    assert all(each.awards or each.own for each in counts.thresholds)


@given(
    st.dictionaries(st.text(max_size=3), NUMBERS),
    st.sampled_from([("greater than or equal to", operator.ge), ("is greater than", operator.gt)]),
    st.integers(-(10**9), 10**9) | st.integers(-4000, 4000).map(lambda number: number / 4),
)
def test_awards_at_the_rule_s_threshold_are_those_earned(
    peaks: dict[str, int],
    comparison: tuple[str, Callable[[float, float], bool]],
    threshold: float,
) -> None:
    words, compare = comparison
    earners = {name for name, peak in peaks.items() if compare(peak, threshold)}

    counts = counted(f"{words}: {threshold}", peaks, earners)

    assert counts is not None
    assert [each.awards for each in counts.thresholds if each.own] == [len(earners)]


def test_names_without_an_account_are_not_counted() -> None:
    counts = counted("greater than: 9", {"alice": 12, "nick": 11, "bob": 3}, {"alice"})

    assert counts is not None
    assert dict(counts.peaks) == {"alice": 12, "bob": 3}


def test_values_that_are_no_whole_numbers_are_not_counted() -> None:
    assert counted("greater than: 9", {"alice": 12}, {"alice", "bob"}) is None


@pytest.mark.parametrize("condition", ["less than: 3", "equal to: 3", "is not: 3"])
def test_conditions_where_more_is_not_better_have_no_threshold(condition: str) -> None:
    counts = counted(condition, {"alice": 2, "bob": 4}, {"alice"})

    assert counts is not None
    assert (counts.own, counts.thresholds) == (None, ())


@pytest.mark.parametrize("condition", ["lambda: value > 3", "greater than: .inf"])
def test_conditions_without_a_number_have_no_threshold(condition: str) -> None:
    counts = counted(condition, {"bob": 4}, set())

    assert counts is None or counts.own is None


def test_criteria_of_several_parts_have_no_distribution() -> None:
    criteria = "criteria:\n  all:\n  - " + QUESTION.removeprefix("criteria:\n").lstrip().replace(
        "\n  ", "\n    "
    )
    assert distribution_of(load(criteria % "greater than: 3").criteria, {}, set()) is None


def spans(numbers: list[int], own: int | None) -> dict[str, int]:
    counts = Distribution({str(place): number for place, number in enumerate(numbers)}, own)
    return {each.name: each.people for each in counts.bins}


def test_small_numbers_have_a_bin_each() -> None:
    assert spans([1, 2, 2, 4], 3) == {"1": 1, "2": 2, "3": 0, "4": 1}


def test_numbers_of_every_size_have_wider_and_wider_bins() -> None:
    assert spans([1, 3, 7, 30, 180], 50) == {
        "1": 1,
        "2 to 4": 1,
        "5 to 9": 1,
        "10 to 24": 0,
        "25 to 49": 1,
        "50 to 99": 0,
        "100 to 249": 1,
    }


def test_numbers_of_one_size_have_bins_of_one_width() -> None:
    assert spans([120, 126, 160], None) == {
        **{f"{low} to {low + 4}": 0 for low in range(120, 165, 5)},
        "120 to 124": 1,
        "125 to 129": 1,
        "160 to 164": 1,
    }


def test_odd_threshold_replaces_the_edge_beside_it() -> None:
    assert list(spans([1, 300], 99)) == [
        "1",
        "2 to 4",
        "5 to 9",
        "10 to 24",
        "25 to 49",
        "50 to 98",
        "99 to 249",
        "250 to 499",
    ]


def test_threshold_that_nobody_reached_has_an_empty_bin() -> None:
    assert spans([1, 2], 50) == {"1": 1, "2": 1, "3 to 49": 0, "50 or more": 0}


def test_threshold_below_everybody_has_an_empty_bin() -> None:
    assert spans([7, 8], 1) == {"1 to 6": 0, "7": 1, "8": 1}


@given(st.lists(st.datetimes()))
def test_every_award_is_in_one_period(moments: list[datetime]) -> None:
    periods = count_by_period(moments).periods

    assert sum(each.awards for each in periods) == len(moments)
    assert [each.total for each in periods[-1:]] == ([len(moments)] if moments else [])
    assert len(periods) <= max(24, len(moments))
    assert len({each.period for each in periods}) == len(periods)


@pytest.mark.parametrize(
    ("last", "unit", "first", "count"),
    [
        (datetime(2014, 1, 31), "day", "2014-01-31", 1),
        (datetime(2014, 2, 2), "day", "2014-01-31", 3),
        (datetime(2014, 12, 1), "month", "2014-01", 12),
        (datetime(2018, 12, 1), "quarter", "2014-Q1", 20),
        (datetime(2024, 1, 1), "year", "2014", 11),
        (datetime(9999, 1, 1), "year", "2014", 2),
    ],
)
def test_periods_are_of_the_finest_unit_that_makes_few(
    last: datetime, unit: str, first: str, count: int
) -> None:
    over_time = count_by_period([last, datetime(2014, 1, 31)])

    assert (over_time.unit, over_time.periods[0].period, len(over_time.periods)) == (
        unit,
        first,
        count,
    )
