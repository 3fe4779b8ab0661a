"""Threads that share a window over recent messages do not wait for each other's queries."""

import datetime
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_message, make_settings
from support.databases import Databases
from support.waiting import TIMEOUT

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.history.count_cache import CountCache
from fedbadges.history.history import History
from fedbadges.history.horizon import Base
from fedbadges.history.window.recent_window import RecentWindow
from fedbadges.messages import Message
from fedbadges.rules.filters import FilledFilter
from fedbadges.util.caching import make_cache_region

NOW = datetime.datetime(2026, 1, 1)
SECONDS = NOW.replace(tzinfo=datetime.timezone.utc).timestamp()
DISTANCE = datetime.timedelta(seconds=100)
TOPIC = "org.example.dev.a.one"
FILTER = FilledFilter((("topics", (TOPIC,)),))


class Blocked:
    """A thread that selects from a window, and is blocked before or after its first query."""

    def __init__(self, recent: "Recent", when: str) -> None:
        self.result: Any = "none yet"
        self._recent = recent
        self._reached, self._released = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._select, daemon=True)
        self._event = f"{when}_cursor_execute"

    def __enter__(self) -> "Blocked":
        sa.event.listen(reader(self._recent.settings.history_url), self._event, self._block)
        self._thread.start()
        assert self._reached.wait(TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._thread.join()
        sa.event.remove(reader(self._recent.settings.history_url), self._event, self._block)

    def release(self) -> Any:
        """Lets it go on, and returns what it selects."""
        assert self._thread.is_alive()
        self._released.set()
        self._thread.join()
        return self.result

    def _block(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if threading.current_thread() is self._thread and not self._reached.is_set():
            self._reached.set()
            # Should others wait for this thread, the test fails after this time.
            self._released.wait(TIMEOUT)

    def _select(self) -> None:
        self.result = self._recent.since()


class Recent:
    """A history, and a window over its messages of the last seconds."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.history = History(settings)
        region = make_cache_region("dogpile.cache.memory", {})
        self.history.counts = CountCache(region, DISTANCE.total_seconds(), lambda: SECONDS)
        self.window = RecentWindow(DISTANCE.total_seconds())

    def store(self) -> Message:
        message = make_message("", topic=TOPIC, timestamp=SECONDS)
        self.history.record(message, ["ann"], [])
        return message

    def use_all_connections(self) -> None:
        """Uses both connections of the pool, since a new one makes the window be read anew."""
        with reader(self.settings.history_url).connect():
            self.since()
        for _ in range(3):
            self.since()

    def since(self, message: Message | None = None) -> int | None:
        """Returns how many messages the window has; None if it cannot tell."""
        with reader(self.settings.history_url).connect() as connection:
            after = NOW - datetime.timedelta(seconds=10)
            base = Base(after, self.window.horizon(connection, NOW - DISTANCE))
            found = self.window.outside(connection, FILTER, base, NOW - DISTANCE, message)
        return None if found is None else len(found[0])


@pytest.fixture
def recent(sqlite_database: Databases, tmp_path: Path) -> Iterator[Recent]:
    made = Recent(make_settings(sqlite_database, tmp_path))
    made.store()
    made.use_all_connections()
    yield made
    engine(made.settings.history_url).dispose()
    reader(made.settings.history_url).dispose()


def test_other_threads_select_while_a_query_is_blocked(recent: Recent) -> None:
    with Blocked(recent, "before") as blocked:
        message = recent.store()

        assert recent.since(message) == 2
        assert recent.since() == 2
        assert blocked.release() == 2


def test_other_threads_count_while_a_query_is_blocked(recent: Recent) -> None:
    recent.window = recent.history.window
    recent.history.count(FILTER)
    recent.use_all_connections()
    with Blocked(recent, "before") as blocked:
        message = recent.store()

        assert recent.history.count(FILTER, message=message) == 2
        assert list(recent.history.positions([message])) == [message]
        assert blocked.release() == 2


def test_other_threads_ask_the_database_while_the_window_is_loaded(recent: Recent) -> None:
    recent.window = RecentWindow(DISTANCE.total_seconds())
    with Blocked(recent, "before") as blocked:
        with reader(recent.settings.history_url).connect() as connection:
            connection.info[recent.window._known] = True
        assert recent.since() is None
        assert blocked.release() == 1

    assert recent.since() == 1


def test_a_slow_thread_loses_no_message_that_another_one_has_read(recent: Recent) -> None:
    recent.store()
    with Blocked(recent, "after") as blocked:
        for _ in range(2):
            recent.store()
        assert recent.since() == 4

        # It has read no more than was stored before it was blocked.
        assert blocked.release() == 4
    assert recent.since() == 4


def test_a_slow_read_is_not_enough_for_a_message_that_came_since(recent: Recent) -> None:
    with Blocked(recent, "after") as blocked:
        message = recent.store()
        assert blocked.release() == 1

    assert recent.since(message) == 2


def test_what_was_read_before_the_window_was_reset_is_discarded(recent: Recent) -> None:
    recent.store()
    with Blocked(recent, "after") as blocked:
        with engine(recent.settings.history_url).begin() as connection:
            connection.execute(sa.text("DELETE FROM users_messages"))
            connection.execute(sa.text("DELETE FROM messages"))
        # A new connection may lead to another server.
        reader(recent.settings.history_url).dispose()
        assert recent.since() == 0

        assert blocked.release() is None
    assert recent.since() == 0
