"""What a pass over the past finds is true, however often it is interrupted and goes on."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import text
from support.builders import make_settings, wipe
from support.databases import Databases
from support.histories import PastMessage, Storage, in_order
from support.sizes import size
from support.strategies import START, histories, rule_texts
from test_past_counts import KINDS, Asking, counting, edits, stored

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.history import count_saver
from fedbadges.history.count_saver import CountSaver
from fedbadges.history.kept.file import NAME
from fedbadges.replay import past_checkpoint, past_counts, past_rows
from fedbadges.replay.past_counts import PastCounts, counted_questions

TEXTS = [counting(kind) for kind in KINDS]


@pytest.fixture(scope="module")
def settings(shared_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    directory = tmp_path_factory.mktemp("state")
    return make_settings(shared_database, directory, state_directory=str(directory))


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_counts, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(past_counts, "_SAVE_SHARE", 0)
    monkeypatch.setattr(past_counts, "_PART", 2)
    monkeypatch.setattr(past_rows, "_BATCH", 3)
    monkeypatch.setattr(past_checkpoint, "_PART", 2)


class Process:
    """A process that counts the past, with the file of counts; it may be killed at any moment."""

    def __init__(self, settings: Settings, texts: list[str], now: datetime) -> None:
        self.asking = Asking(settings, texts, now)
        self.saver = CountSaver(settings, self.asking.history)
        self.saver.step()
        questions = counted_questions(self.asking.rules)
        self.past = PastCounts(settings, self.asking.history, questions)
        self.parts: Iterator[None] = self.past.run()

    def run(self, parts: int = 1_000_000) -> int:
        """Run some parts of the pass; return how many messages were done when it began."""
        began = 0
        for number, _ in zip(range(parts), self.parts, strict=False):
            began = began if number else self.past.done
        return began


def forget(settings: Settings) -> None:
    assert settings.state_directory is not None
    for path in settings.state_directory.glob(f"{NAME}*"):
        path.unlink()


@pytest.fixture
def storage(shared_database: Databases, settings: Settings) -> Storage:
    wipe(shared_database)
    forget(settings)
    return Storage(settings)


NOW = datetime.now(timezone.utc) + timedelta(minutes=5)


def begun(settings: Settings, parts: int = 20, texts: list[str] = TEXTS) -> Process:
    """Return a process that was killed within the pass."""
    process = Process(settings, texts, NOW)
    process.run(parts)
    process.saver.step()
    return process


def test_pass_goes_on_where_the_last_process_was(storage: Storage, settings: Settings) -> None:
    history = edits(30)
    storage.store(history)
    done = begun(settings).past.done
    assert 0 < done < 30

    storage.store(edits(2, begin=31, age=3500.0))
    second = Process(settings, TEXTS, NOW)
    began = second.run()

    assert 0 < began <= done
    assert (second.past.done, second.past.total) == (30, 30)
    assert second.asking.compare(stored(settings, history[-1]), None)


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_process_that_is_killed_within_a_checkpoint_leaves_the_one_before(
    storage: Storage, settings: Settings, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = [replace(each, users=("alice", f"user{each.number}")) for each in edits(30)]
    storage.store(history)
    process = begun(settings, 25)
    before = process.past.done
    monkeypatch.setattr(count_saver, "_MOST_AT_ONCE", 0)
    process.run(60)
    assert process.past.done > before
    for _ in range(steps):
        process.saver.step()

    second = Process(settings, TEXTS, NOW)
    began = second.run()

    assert 0 < began <= before
    message = stored(settings, history[-1])
    assert second.asking.compare(message, None)


def test_message_that_is_committed_late_counts_once(storage: Storage, settings: Settings) -> None:
    history = edits(12)
    late = history.pop(9)
    storage.store(history)
    process = Process(settings, TEXTS, NOW)
    next(process.parts)

    storage.store([late])
    process.run()

    assert process.asking.compare(stored(settings, history[-1]), None)


def damage(settings: Settings) -> None:
    assert settings.state_directory is not None
    (settings.state_directory / NAME).write_bytes(b"no database" * 1000)


@pytest.mark.parametrize("what", ["damaged", "other rules", "too old", "restored backup"])
def test_checkpoint_of_something_else_is_not_used(
    storage: Storage, settings: Settings, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = edits(30)
    storage.store(history)
    begun(settings)
    texts = TEXTS
    if what == "damaged":
        forget(settings)
        damage(settings)
    elif what == "other rules":
        texts = [TEXTS[0]]
    elif what == "too old":
        monkeypatch.setattr(past_counts, "_MOST_AGE", timedelta(0) - timedelta(seconds=1))
    else:
        wipe_rows(settings, storage, history)

    second = Process(settings, texts, NOW)

    assert second.run(1) == 0
    second.run()
    assert second.past.done == 30
    assert second.asking.compare(stored(settings, history[-1]), None)


def wipe_rows(settings: Settings, storage: Storage, history: list[PastMessage]) -> None:
    """Put other messages in the place of those that were counted."""
    with engine(settings.history_url).begin() as connection:
        for table in ("users_messages", "packages_messages", "messages"):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608
    storage.store([replace(each, msg_id=f"other-{each.number}") for each in history])


def test_checkpoint_is_dropped_with_all_of_its_parts(storage: Storage, settings: Settings) -> None:
    storage.store(edits(30))
    process = begun(settings)
    process.run()
    process.saver.step()
    process.past.forget_checkpoint()
    process.saver.step()

    second = Process(settings, TEXTS, NOW)

    assert second.run(1) == 0
    assert second.asking.history.kept is not None
    file = second.asking.history.kept.file
    assert file is not None
    (long,) = file._writer.execute(
        "SELECT count(*) FROM counts WHERE value LIKE '% %' AND value NOT LIKE '[%'"
    ).fetchone()
    assert long == 0


@pytest.mark.thorough
@given(
    messages=histories(),
    late=st.integers(0, 5),
    texts=st.lists(rule_texts(), min_size=1, max_size=5),
    hours=st.integers(0, 70),
    kills=st.lists(st.integers(0, 12), max_size=4),
)
@examples(
    max_examples=size(12, 150),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_answers_after_a_pass_with_kills_are_those_of_plain_queries(
    shared_database: Databases,
    settings: Settings,
    messages: list[PastMessage],
    late: int,
    texts: list[str],
    hours: int,
    kills: list[int],
) -> None:
    wipe(shared_database)
    forget(settings)
    storage = Storage(settings)
    now = START + timedelta(hours=hours)
    first, rest = messages[: len(messages) - late], messages[len(messages) - late :]
    storage.store(sorted(first, key=lambda past: past.number))
    renumbered = [
        replace(each, number=100 + number, msg_id=each.id) for number, each in enumerate(rest)
    ]
    remaining: list[Any] = list(renumbered)

    for parts in kills:
        process = Process(settings, texts, now)
        process.run(parts)
        process.saver.step()
        storage.store(remaining[:1])
        del remaining[:1]
    process = Process(settings, texts, now)
    process.run()
    assert not process.past.is_outdated
    storage.store(remaining)

    for each in in_order([*first, *renumbered]):
        message = stored(settings, each)
        process.asking.compare(message, None)
        process.asking.compare(message, (each.sent, each.number))
