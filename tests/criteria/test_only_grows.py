"""Which criteria may be judged while a message is not stored: those that more can only fulfil."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from support.builders import make_rule, make_settings
from support.databases import Databases

from fedbadges.errors import Place
from fedbadges.rules.criteria import PlacedCriterion, only_grows

BODY = """
trigger: {topic: git.receive}
criteria: CRITERIA
recipient: "%(msg.user)s"
"""


def past(condition: str, operation: str = "count", window: str = "") -> str:
    filtered = f'filter: {{topics: ["%(topic)s"]{window}}}'
    return f"{{datanommer: {{{filtered}, operation: {operation}, condition: {{{condition}}}}}}}"


MORE = past("greater than: 2")
TENTH = past("equal to: 10")
SET = """{lambda: "len({each.msg['n'] for each in query.all()})"}"""
LIST = """{lambda: "len([each for each in query.all() if each.msg['n']])"}"""
PAGE = ", page: 1, rows_per_page: 10"


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (MORE, True),
        (past("greater than or equal to: 2"), True),
        (past("greater than: 2", window=", start: 7 days ago"), True),
        (past("greater than: 2", LIST), True),
        (past("greater than: 2", LIST, PAGE), False),
        (past("greater than: 2", SET), False),
        (TENTH, False),
        (past("is not: 0"), True),
        (past("is not: 3"), False),
        (past("less than: 3"), False),
        (past("less than or equal to: 3"), False),
        (past('lambda: "value > 2"'), False),
        (f"{{all: [{MORE}, {MORE}]}}", True),
        (f"{{all: [{MORE}, {TENTH}]}}", False),
        (f"{{any: [{MORE}, {TENTH}]}}", False),
        (f"{{any: [{MORE}, {{all: [{MORE}]}}]}}", True),
        (f"{{not: {MORE}}}", False),
        (f"{{not: {TENTH}}}", False),
        (f"{{all: [{MORE}, {{not: {MORE}}}]}}", False),
    ],
)
def test_only_counts_that_must_be_great_enough_hold_whatever_is_stored_later(
    criteria: str, expected: bool, tmp_path: Path
) -> None:
    settings = make_settings(Databases("sqlite", "sqlite://", "sqlite://"), tmp_path)
    rule = make_rule(settings, "one", BODY.replace("CRITERIA", criteria))

    assert only_grows(rule.criteria) is expected


@pytest.mark.parametrize("needs_history", [False, True])
def test_backend_of_somebody_else_that_needs_the_history_may_change_its_mind(
    needs_history: bool,
) -> None:
    criterion = SimpleNamespace(needs_history=needs_history)
    placed = PlacedCriterion("theirs", criterion, Place("", 1, 1), "")  # type: ignore[arg-type]

    assert only_grows(placed) is not needs_history
