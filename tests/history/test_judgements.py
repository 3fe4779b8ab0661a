"""What is judged again because an earlier message was stored later, and what is not."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import make_message, make_settings, statements
from support.damage import store_damaged_rows
from support.databases import Databases
from support.optimisations import needs

from fedbadges.databases.connections import engine
from fedbadges.history import judgements as module
from fedbadges.history.history import History
from fedbadges.history.horizon import Horizon
from fedbadges.history.judgements import Judgements
from fedbadges.history.message_reader import MessageHeader, MessageReader
from fedbadges.history.window.reader import LOOK_BACK
from fedbadges.messages import Position
from fedbadges.rules.filters import FilledFilter

START = 1_700_000_000.0
DISTANCE = 100

TOPIC = "org.fedoraproject.dev.logger.log"
ANN = FilledFilter((("topics", (TOPIC,)), ("users", ("ann",))))
BEA = FilledFilter((("topics", (TOPIC,)), ("users", ("bea",))))


class Past:
    """A history, and what was judged of it."""

    def __init__(self, databases: Databases, directory: Path) -> None:
        settings = make_settings(databases, directory, keep_counts_distance=DISTANCE)
        self.url = settings.history_url
        self.history = History(settings)
        self.reader = MessageReader(settings)
        self.judgements = Judgements(settings, self.history)

    def store(self, sent: float, user: str = "ann") -> Position:
        """Store a message that was sent so many seconds after the start."""
        return self.history.record(make_message(timestamp=START + sent), [user], [])

    def judge(self, position: Position, *filters: FilledFilter) -> None:
        """Judge a message after all that is stored by now."""
        horizon = self.judgements.horizon(position)
        self.judgements.add(position, horizon, filters or [ANN])

    def rows(self, *positions: Position) -> list[MessageHeader]:
        numbers = {position[1] for position in positions}
        return [row for row in self.reader.headers_after(0, 100) if row.number in numbers]

    def outdated(self, *positions: Position) -> list[int]:
        return self.judgements.outdated(self.rows(*positions))


@pytest.fixture
def past(sqlite_database: Databases, tmp_path: Path) -> Past:
    return Past(sqlite_database, tmp_path)


@pytest.fixture
def sql_past(database: Databases, tmp_path: Path) -> Past:
    return Past(database, tmp_path)


def test_message_is_judged_again_when_an_earlier_one_is_stored_that_its_filter_selects(
    sql_past: Past,
) -> None:
    judged = sql_past.store(10)
    sql_past.judge(judged)

    assert sql_past.outdated(sql_past.store(5)) == [judged[1]]


@needs("keep_counts")
def test_what_is_judged_again_counts_what_was_stored_too_late(sql_past: Past) -> None:
    now = time.time()
    message = make_message(timestamp=now)
    position = sql_past.history.record(message, ["ann"], [])
    for _ in range(2):  # the window is read with the second count
        assert sql_past.history.count(ANN, message=message, until=position) == 1
    sql_past.judge(position)

    assert sql_past.outdated(sql_past.store(now - START - 5)) == [position[1]]
    again = replace(message, received=time.monotonic())
    assert sql_past.history.count(ANN, message=again, until=position) == 2


@pytest.mark.parametrize(
    ("sent", "user", "why"),
    [
        (15, "ann", "it was sent later"),
        (10, "ann", "of the same time, it has the higher row number"),
        (5, "bea", "no filter selects it"),
    ],
)
def test_message_is_not_judged_again_for_one_that_does_not_count_for_it(
    past: Past, sent: float, user: str, why: str
) -> None:
    past.judge(past.store(10))

    assert past.outdated(past.store(sent, user)) == [], why


@needs("keep_counts")
def test_message_is_not_judged_again_for_what_was_seen_when_it_was_judged(past: Past) -> None:
    early, judged = past.store(5), past.store(10)
    for _ in range(2):  # the window is read with the second count
        past.history.count(ANN)
    past.judge(judged)

    with statements(past.url) as sent:
        assert past.judgements.outdated(past.rows(early, judged)) == []
    assert not any("agent_name" in statement for statement in sent), "only headers are read"


def test_message_is_judged_again_for_one_whose_number_was_a_gap(past: Past) -> None:
    gap, judged = past.store(5), past.store(10)
    number = int(judged[1])
    past.judgements.add(judged, Horizon(number, frozenset({int(gap[1])})), [ANN])

    assert past.outdated(gap) == [number]


def test_gap_of_one_judgement_is_none_of_another(past: Past) -> None:
    gap, first, second = past.store(5), past.store(10), past.store(20)
    past.judgements.add(first, Horizon(int(second[1])), [ANN])
    past.judgements.add(second, Horizon(int(second[1]), frozenset({int(gap[1])})), [ANN])

    assert past.outdated(gap) == [second[1]]


def test_any_filter_of_a_judgement_makes_it_judged_again(past: Past) -> None:
    judged = past.store(10)
    past.judge(judged, BEA, ANN)

    assert past.outdated(past.store(5)) == [judged[1]]


def test_message_may_count_where_only_its_content_tells(past: Past) -> None:
    judged = past.store(10)
    past.judge(judged, FilledFilter((("contains", ("something",)),)))

    assert past.outdated(past.store(5)) == [judged[1]]


def test_all_that_is_later_is_judged_again_and_nothing_that_is_earlier(past: Past) -> None:
    judged = [past.store(sent) for sent in (10, 30, 20)]
    for position in judged:
        past.judge(position)

    assert past.outdated(past.store(15)) == [judged[2][1], judged[1][1]]


def test_judgement_is_remembered_until_a_message_can_be_late_no_longer(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    first, second, third = past.store(10), past.store(20), past.store(30)
    past.judge(first)
    now += DISTANCE / 2
    past.judge(second)
    now += DISTANCE / 2 + 1
    past.judge(third)

    assert past.outdated(past.store(5)) == [second[1], third[1]]


def test_oldest_of_too_many_judgements_is_forgotten(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 2)
    first, second, third = past.store(10), past.store(20), past.store(30)
    for position in (first, second, first, third):  # the first one again: it is the newer
        past.judge(position)

    assert past.outdated(past.store(5)) == [first[1], third[1]]


@pytest.mark.parametrize(("most", "left"), [(3, [1, 2]), (2, [2]), (1, [2]), (0, [])])
def test_judgements_with_too_many_filters_are_forgotten(
    past: Past, monkeypatch: pytest.MonkeyPatch, most: int, left: list[int]
) -> None:
    """A message may name hundreds of people, each with filters of their own."""
    monkeypatch.setattr(module, "_MOST_FILTERS", most)
    first, second = past.store(10), past.store(20)
    past.judge(first, ANN, BEA)
    past.judge(second)
    past.judge(second)

    assert past.outdated(past.store(5)) == left


def test_message_that_was_judged_again_needs_no_third_time(past: Past) -> None:
    judged = past.store(10)
    past.judge(judged)
    late = past.store(5)
    assert past.outdated(late) == [judged[1]]

    # It knows the window's rows by now; without a window, its own number is what it has seen.
    past.judgements.add(judged, Horizon(int(late[1])), [ANN])

    assert past.outdated(late) == []


def test_damaged_row_makes_nothing_be_judged_again(past: Past) -> None:
    judged = past.store(10**9)
    past.judge(judged, FilledFilter((("not_users", ("nobody",)),)))

    damaged = set(store_damaged_rows(Databases("sqlite", "", str(past.url))))

    rows = [row for row in past.reader.headers_after(0, 100) if row.damage is not None]
    assert {row.number for row in rows} <= damaged
    assert rows
    assert past.judgements.outdated(rows) == []


def test_nothing_is_judged_again_after_the_history_was_replaced(past: Past) -> None:
    past.judge(past.store(10))

    past.judgements.forget()

    assert past.outdated(past.store(5)) == []


def test_nothing_is_read_while_nothing_was_judged(past: Past) -> None:
    rows = past.rows(past.store(5))

    with statements(past.url) as sent:
        assert past.judgements.outdated(rows) == []
    assert sent == []


def test_nothing_that_may_be_committed_just_now_counts_as_seen_without_a_window(past: Past) -> None:
    position, _ = past.store(5)

    assert past.judgements.horizon((position, 5000)) == Horizon(5000 - LOOK_BACK)
    assert past.judgements.horizon((position, 5)) == Horizon(0)


@needs("keep_counts")
def test_what_a_sweep_hands_over_together_is_judged_once(past: Past) -> None:
    """The window has seen none of it, and reads it once for all."""
    past.history.count(ANN, until=past.store(5))
    stored = [past.store(10 + number) for number in range(3)]

    with statements(past.url) as sent:
        for position in stored:
            past.judge(position)

    assert len(sent) == 1
    assert past.outdated(*stored) == []


def restored(past: Past, lost: Position, store: Callable[[], object]) -> None:
    """Go back to before a message and the name of its user, and store something else."""
    with engine(past.url).begin() as connection:
        for statement in (
            "DELETE FROM users_messages WHERE msg_id = :number",
            "DELETE FROM messages WHERE id = :number",
            "DELETE FROM users WHERE id NOT IN (SELECT user_id FROM users_messages)",
        ):
            connection.execute(sa.text(statement), {"number": lost[1]} if ":" in statement else {})
    store()


def test_names_have_other_ids_after_a_backup_was_restored(past: Past) -> None:
    past.store(5, "cid")
    lost = past.store(10, "ann")
    assert past.history.count(ANN) == 1

    restored(past, lost, lambda: past.store(10, "bea"))
    past.judgements.forget()

    assert past.history.count(ANN) == 0
    assert past.history.count(BEA) == 1
