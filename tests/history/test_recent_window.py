"""What was sent lately is counted in memory, and as the database would count it."""

import datetime
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.builders import make_message, make_settings, statements
from support.databases import Databases, create_schemas

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.history.history import History
from fedbadges.history.recent_window import RecentWindow
from fedbadges.history.sql import NameIds, prepare
from fedbadges.messages import Message
from fedbadges.rules.filters import FilledFilter

NOW = datetime.datetime(2026, 1, 1)
CUTOFF = NOW - datetime.timedelta(seconds=100)
AGES = st.integers(0, 399)
NAMES = ("ann", "bea", "cid")
TOPICS = ("org.example.dev.a.one", "org.example.dev.b.two")
DISTANCE = 100.0


@dataclass
class Lately:
    """A history, and what of it is in memory, beside the database's own answers."""

    settings: Settings
    history: History
    recent: RecentWindow

    def store(
        self,
        topic: str = TOPICS[0],
        users: tuple[str, ...] = ("ann",),
        packages: tuple[str, ...] = (),
        agent: str | None = None,
        age: float = 0,
    ) -> Message:
        """Stores a message that was sent ``age`` seconds ago."""
        sent = (NOW - datetime.timedelta(seconds=age)).replace(tzinfo=datetime.timezone.utc)
        message = make_message("", topic=topic, timestamp=sent.timestamp())
        self.history.record(message, users, packages, agent)
        return message

    def since(self, filled: FilledFilter, age: float, message: Message | None = None) -> Any:
        """Returns the numbers of what was sent less than ``age`` seconds ago, by what it knows."""
        after = NOW - datetime.timedelta(seconds=age)
        with reader(self.settings.history_url).connect() as connection:
            found = self.recent.since(connection, filled, after, CUTOFF, message)
        return None if found is None else sorted(row.id for row in found)

    def in_database(self, filled: FilledFilter, age: float) -> list[int]:
        """Returns the same, by the database."""
        after = NOW - datetime.timedelta(seconds=age)
        with reader(self.settings.history_url).connect() as connection:
            asked = prepare(connection, NameIds(), filled, after)
            return [] if asked is None else sorted(row.id for row in asked.messages(connection))


@pytest.fixture
def lately(database: Databases, tmp_path: Path) -> Iterator[Lately]:
    create_schemas(database)
    settings = make_settings(database, tmp_path)
    yield Lately(settings, History(settings), RecentWindow(DISTANCE))
    engine(settings.history_url).dispose()


EVERYTHING = FilledFilter((("not_topics", ("none",)),))

texts = {
    "topics": st.sampled_from(TOPICS),
    "categories": st.sampled_from(["a", "b"]),
    "users": st.sampled_from([*NAMES, "nobody"]),
    "packages": st.sampled_from(["kernel", "bash", "nothing"]),
    "agents": st.sampled_from(NAMES),
}
lists = st.fixed_dictionaries(
    {},
    optional={
        f"{prefix}{key}": st.frozensets(each, min_size=1).map(lambda found: tuple(sorted(found)))
        for key, each in texts.items()
        for prefix in ("", "not_")
    },
)
filters = st.builds(
    lambda found, start: replace(
        FilledFilter(tuple(sorted(found.items()))),
        **({} if start is None else {"start": start, "end": NOW}),
    ),
    lists.filter(bool),
    st.none() | AGES.map(lambda age: NOW - datetime.timedelta(seconds=age)),
)
messages = st.lists(
    st.fixed_dictionaries(
        {
            "topic": texts["topics"],
            "users": st.frozensets(st.sampled_from(NAMES)).map(tuple),
            "packages": st.frozensets(st.sampled_from(["kernel", "bash"])).map(tuple),
            "agent": st.none() | texts["agents"],
            "age": AGES,
        }
    ),
    max_size=6,
)


@given(steps=st.lists(st.tuples(messages, filters, st.integers(0, 400)), max_size=4))
@examples(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_filter_gives_what_it_gives_in_the_database(
    lately: Lately, steps: list[tuple[list[dict[str, Any]], FilledFilter, int]]
) -> None:
    for stored, filled, age in steps:
        for each in stored:
            lately.store(**each)
        assert lately.since(filled, age) == lately.in_database(filled, age)


def test_what_a_filter_says_of_contents_is_left_to_the_database(lately: Lately) -> None:
    lately.store()

    assert lately.since(FilledFilter((("contains", ("text",)),)), 10) is None


def test_what_lies_further_back_is_left_to_the_database(lately: Lately) -> None:
    lately.store(age=500)

    assert lately.since(EVERYTHING, 300) == []
    assert lately.since(EVERYTHING, 600) is None


def test_it_asks_once_for_what_came_since(lately: Lately) -> None:
    lately.store()
    lately.since(EVERYTHING, 10)
    lately.store()

    with statements(lately.settings.history_url) as sent:
        assert len(lately.since(EVERYTHING, 10)) == 2
    assert len(sent) == 1


def test_with_a_message_that_is_there_since_it_came_nothing_is_asked(lately: Lately) -> None:
    lately.since(EVERYTHING, 10)
    message = lately.store()
    with reader(lately.settings.history_url).connect() as connection:
        assert lately.recent.stored(connection, [message.msg_id or ""]) == {message.msg_id}

    with statements(lately.settings.history_url) as sent:
        assert len(lately.since(EVERYTHING, 10, message)) == 1
    assert sent == []


def test_what_was_read_some_seconds_ago_is_read_again(
    lately: Lately, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as where an outage came between two looks."""
    lately.since(EVERYTHING, 10)
    message = lately.store()
    lately.since(EVERYTHING, 10)
    lately.store()
    now = time.monotonic()
    monkeypatch.setattr("fedbadges.history.recent_window.time.monotonic", lambda: now + 6)

    assert len(lately.since(EVERYTHING, 10, message)) == 2


def test_a_message_of_long_ago_need_not_be_there(lately: Lately) -> None:
    lately.since(EVERYTHING, 10)
    old = lately.store(age=5000)
    with reader(lately.settings.history_url).connect() as connection:
        assert lately.recent.stored(connection, [old.msg_id or ""]) == set()

    with statements(lately.settings.history_url) as sent:
        assert lately.since(EVERYTHING, 10, old) == []
    assert sent == []


def test_what_came_before_a_message_did_counts_with_it(lately: Lately) -> None:
    before = lately.store()
    lately.since(EVERYTHING, 10)
    lately.store()
    # Such as one that was read back from datanommer to be handled once more.
    again = replace(before, received=time.monotonic())

    assert len(lately.since(EVERYTHING, 10, again)) == 2


def test_what_was_numbered_earlier_and_committed_later_is_not_missed(
    postgresql: Any, tmp_path: Path
) -> None:
    databases = Databases("postgresql", postgresql.create_database(), postgresql.create_database())
    create_schemas(databases)
    settings = make_settings(databases, tmp_path)
    lately = Lately(settings, History(settings), RecentWindow(DISTANCE))
    lately.store()
    late = sa.text(
        "INSERT INTO messages (i, topic, timestamp, category, msg)"
        " VALUES (1, :topic, :now, 'a', '{}')"
    )
    made = engine(settings.history_url)
    with made.connect() as first, made.connect() as second:
        values = {"topic": TOPICS[0], "now": NOW}
        first.execute(late, values)
        lately.store()
        assert len(lately.since(EVERYTHING, 10)) == 2
        second.execute(late, values)
        lately.store()
        assert len(lately.since(EVERYTHING, 10)) == 3
        first.commit()
        assert len(lately.since(EVERYTHING, 10)) == 4
        second.commit()
        assert len(lately.since(EVERYTHING, 10)) == 5


def test_many_old_messages_do_not_hide_one_that_is_committed_later(
    postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those of an import."""
    monkeypatch.setattr("fedbadges.history.window_reader._MANY_GAPS", 5)
    monkeypatch.setattr("fedbadges.history.window_reader.LOOK_BACK", 10)
    monkeypatch.setattr("fedbadges.history.recent_window.LOOK_BACK", 10)
    databases = Databases("postgresql", postgresql.create_database(), postgresql.create_database())
    create_schemas(databases)
    settings = make_settings(databases, tmp_path)
    lately = Lately(settings, History(settings), RecentWindow(DISTANCE))
    lately.store()
    with engine(settings.history_url).connect() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO messages (i, topic, timestamp, category, msg)"
                " VALUES (1, :topic, :now, 'a', '{}')"
            ),
            {"topic": TOPICS[0], "now": NOW},
        )
        lately.store()
        assert len(lately.since(EVERYTHING, 10)) == 2
        for _ in range(12):
            lately.store(age=50_000)
        lately.store()
        assert len(lately.since(EVERYTHING, 10)) == 3
        connection.commit()

    assert len(lately.since(EVERYTHING, 10)) == 4


@pytest.mark.parametrize("first", [1, 6])
def test_with_too_many_it_is_left_to_the_database_for_a_while(
    lately: Lately, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.history.recent_window._MOST", 5)
    monkeypatch.setattr("fedbadges.history.recent_window._MANY", 4)
    clock = itertools.count()
    monkeypatch.setattr(
        "fedbadges.history.recent_window.time.monotonic", lambda: float(next(clock))
    )
    for _ in range(first):
        lately.store()
    lately.since(EVERYTHING, 10)
    for _ in range(6):
        lately.store()

    assert lately.since(EVERYTHING, 10) is None
    with statements(lately.settings.history_url) as sent:
        assert lately.since(EVERYTHING, 10) is None
    assert sent == []


def test_with_many_what_is_safely_past_is_let_go_first(
    lately: Lately, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.history.recent_window._MOST", 5)
    monkeypatch.setattr("fedbadges.history.recent_window._MANY", 4)
    lately.since(EVERYTHING, 10)
    for age in (300, 250, 200, 0, 0, 0):
        lately.store(age=age)

    assert len(lately.since(EVERYTHING, 50)) == 3
    assert lately.since(EVERYTHING, 220) is None


def test_what_is_read_in_portions_is_all_there(
    lately: Lately, monkeypatch: pytest.MonkeyPatch
) -> None:
    lately.since(EVERYTHING, 10)
    for _ in range(7):
        lately.store()
    monkeypatch.setattr("fedbadges.history.window_reader._BATCH", 7)

    assert len(lately.since(EVERYTHING, 10)) == 7


def test_after_an_error_it_is_read_afresh(lately: Lately) -> None:
    lately.store()
    lately.since(EVERYTHING, 10)
    made = engine(lately.settings.history_url)
    with made.begin() as connection:
        connection.execute(sa.text("ALTER TABLE messages RENAME TO elsewhere"))
    with pytest.raises(sa.exc.SQLAlchemyError):
        lately.since(EVERYTHING, 10)
    with made.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO messages"))

    assert len(lately.since(EVERYTHING, 10)) == 1


def test_on_a_new_connection_it_is_read_afresh(lately: Lately) -> None:
    """It may lead to a server that was restored from a backup, and gives numbers once more."""
    for _ in range(3):
        lately.store()
    lately.since(EVERYTHING, 10)
    made = engine(lately.settings.history_url)
    with made.begin() as connection:
        connection.execute(sa.text("DELETE FROM users_messages"))
        connection.execute(sa.text("DELETE FROM messages"))
    reader(lately.settings.history_url).dispose()

    assert lately.since(EVERYTHING, 10) == []
