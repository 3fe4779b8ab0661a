"""Conditions: what the result of an operation must satisfy."""

import pytest
from support.rule_text import load

from fedbadges.rules.conditions import CONDITIONS


def holds(condition: str, value: object) -> bool:
    rule = load(
        f"criteria:\n  filter: {{topics: [a]}}\n  operation: count\n  condition:\n    {condition}\n"
    )
    return rule.criteria.criterion.condition.holds(value)


TABLE = [
    # the condition's name, and whether it holds of 4, 5, 6 where 5 is given
    ("greater than or equal to", (False, True, True)),
    ("greater than", (False, False, True)),
    ("less than or equal to", (True, True, False)),
    ("less than", (True, False, False)),
    ("equal to", (False, True, False)),
    ("is greater than or equal to", (False, True, True)),
    ("is greater than", (False, False, True)),
    ("is less than or equal to", (True, True, False)),
    ("is less than", (True, False, False)),
    ("is equal to", (False, True, False)),
    ("is not", (True, False, True)),
    ("is not equal to", (True, False, True)),
]


@pytest.mark.parametrize(("name", "expected"), TABLE)
def test_a_comparison_holds_of(name, expected):
    assert tuple(holds(f"{name}: 5", value) for value in (4, 5, 6)) == expected


def test_numbers_are_compared_by_value_and_not_by_identity():
    for name in ("equal to", "is equal to", "greater than or equal to"):
        assert holds(f"{name}: 5000.0", 5000)
    for name in ("is not", "is not equal to"):
        assert not holds(f"{name}: 5000.0", 5000)


def test_every_condition_is_listed_once():
    assert sorted(CONDITIONS) == sorted(["lambda", *(name for name, _ in TABLE)])


def test_at_least_fifty_holds_of_fifty_and_not_of_forty_nine():
    assert not holds("greater than or equal to: 50", 49)
    assert holds("greater than or equal to: 50", 50)


@pytest.mark.parametrize("number", ["0.5", "-1", "1.0e+0", "0x0", ".5"])
def test_a_comparison_takes_every_kind_of_number(number):
    assert holds(f"greater than: {number}", 2)


def test_a_lambda_condition_sees_the_value():
    assert holds("lambda: value % 2 == 0", 4)
    assert not holds("lambda: value % 2 == 0", 5)
    assert holds("lambda: len(value) > 1 and 'alice' in value", ["alice", "bob"])


def test_comparing_with_what_is_no_number_raises_type_error():
    with pytest.raises(TypeError):
        holds("greater than: 1", ["alice"])
    with pytest.raises(ZeroDivisionError):
        holds("lambda: 1 / value", 0)
