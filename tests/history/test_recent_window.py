"""The window over recent messages selects what SQL selects."""

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
from support.databases import Databases
from support.sizes import size

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.history.history import History
from fedbadges.history.horizon import Base
from fedbadges.history.sql import NameIds, prepare
from fedbadges.history.window import recent_window
from fedbadges.history.window.recent_window import RecentWindow
from fedbadges.messages import Message, Position
from fedbadges.rules.filters import FilledFilter

NOW = datetime.datetime(2026, 1, 1)
CUTOFF = NOW - datetime.timedelta(seconds=100)
AGES = st.integers(0, 399)
NAMES = ("ann", "bea", "cid")
TOPICS = ("org.example.dev.a.one", "org.example.dev.b.two")
DISTANCE = 100.0


@dataclass
class Recent:
    """A history and a window over it, beside the database's own answers."""

    settings: Settings
    history: History
    window: RecentWindow

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

    def since(
        self,
        filled: FilledFilter,
        age: float,
        message: Message | None = None,
        until: Position | None = None,
    ) -> Any:
        """Returns the numbers of what was sent less than ``age`` seconds ago, by the window."""
        after = NOW - datetime.timedelta(seconds=age)
        with reader(self.settings.history_url).connect() as connection:
            base = Base(after, self.window.horizon(connection, CUTOFF))
            found = self.window.outside(connection, filled, base, CUTOFF, message, until)
        if found is None:
            return None
        return sorted(row.id for row in found[0] if row.timestamp > after)

    def store_as(self, number: int, age: float) -> None:
        """Stores a message with a row number of its own."""
        sent = NOW - datetime.timedelta(seconds=age)
        with engine(self.settings.history_url).begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO messages (id, i, topic, timestamp, category, msg)"
                    " VALUES (:number, 1, :topic, :sent, 'a', '{}')"
                ),
                {"number": number, "topic": TOPICS[0], "sent": sent},
            )

    def positions(self, *messages: Message) -> None:
        """Looks for messages, as is done when they arrive."""
        with reader(self.settings.history_url).connect() as connection:
            self.window.positions(connection, messages)

    def in_database(self, filled: FilledFilter, age: float) -> list[int]:
        """Returns the same, by the database."""
        after = NOW - datetime.timedelta(seconds=age)
        with reader(self.settings.history_url).connect() as connection:
            query = prepare(connection, NameIds(), filled, after)
            return sorted(row.id for row in query.messages(connection))


@pytest.fixture
def recent(database: Databases, tmp_path: Path) -> Iterator[Recent]:
    settings = make_settings(database, tmp_path)
    yield Recent(settings, History(settings), RecentWindow(DISTANCE))
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


@pytest.mark.thorough
@given(steps=st.lists(st.tuples(messages, filters, st.integers(0, 400)), max_size=4))
@examples(
    max_examples=size(20, 100),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_filter_selects_the_same_from_the_window_as_by_sql(
    recent: Recent, steps: list[tuple[list[dict[str, Any]], FilledFilter, int]]
) -> None:
    for stored, filled, age in steps:
        for each in stored:
            recent.store(**each)
        assert recent.since(filled, age) == recent.in_database(filled, age)


@pytest.mark.thorough
@given(
    steps=st.lists(
        st.tuples(messages, filters, st.none() | st.integers(200, 900), st.integers(0, 1200)),
        max_size=5,
    )
)
@examples(
    max_examples=size(20, 100),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_filter_selects_the_same_from_a_window_that_reaches_back_for_a_backlog(
    recent: Recent, steps: list[tuple[list[dict[str, Any]], FilledFilter, int | None, int]]
) -> None:
    recent.since(EVERYTHING, 10)
    for stored, filled, backlog, age in steps:
        for each in stored:
            recent.store(**{**each, "age": each["age"] * 3})
        if backlog is not None:
            recent.positions(recent.store(age=backlog))
            assert recent.since(filled, backlog) is not None
        assert recent.since(filled, age) in (None, recent.in_database(filled, age))


def test_the_window_reaches_back_for_a_backlog(recent: Recent) -> None:
    for age in (1600, 1100, 700):
        recent.store(age=age)
    recent.since(EVERYTHING, 10)
    first = recent.store(age=1000)

    recent.positions(first)

    assert recent.since(EVERYTHING, 1200, first) == recent.in_database(EVERYTHING, 1200)
    assert recent.since(EVERYTHING, 1300, first) == recent.in_database(EVERYTHING, 1300)
    assert recent.since(EVERYTHING, 1301) is None


def test_a_window_that_would_reach_back_too_far_is_not_read_for_a_while(
    recent: Recent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.history.window.recent_window._MOST", 3)
    recent.since(EVERYTHING, 10)
    backlog = [recent.store(age=1000 - each) for each in range(4)]

    recent.positions(*backlog)
    with statements(recent.settings.history_url) as sent:
        recent.positions(*backlog)

    assert sent == []
    assert recent.since(EVERYTHING, 300) == []
    assert recent.since(EVERYTHING, 500) is None


def test_a_message_that_is_stored_while_the_window_reaches_back_is_in_it(
    recent: Recent, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent.since(EVERYTHING, 10)
    first = recent.store(age=1000)
    read = recent_window.reader.read_between

    def read_and_store(*arguments: Any) -> Any:
        found = read(*arguments)
        recent.store(age=900)
        recent.window.refresh(arguments[0])
        return found

    monkeypatch.setattr("fedbadges.history.window.reader.read_between", read_and_store)
    recent.positions(first)

    assert recent.since(EVERYTHING, 1100) == recent.in_database(EVERYTHING, 1100)
    assert len(recent.in_database(EVERYTHING, 1100)) == 2


def test_a_message_committed_out_of_order_while_the_window_reaches_back_is_late(
    recent: Recent, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent.since(EVERYTHING, 10)
    first = recent.store(age=1000)
    with reader(recent.settings.history_url).connect() as connection:
        recent.window.refresh(connection)
        base = Base(
            NOW - datetime.timedelta(seconds=300), recent.window.horizon(connection, CUTOFF)
        )
        read = recent_window.reader.read_new

        def read_and_reach_back(*arguments: Any) -> Any:
            monkeypatch.undo()
            recent.store_as(number=3, age=0)
            found = read(*arguments)
            recent.store_as(number=2, age=500)
            recent.window.positions(connection, [first])
            return found

        monkeypatch.setattr("fedbadges.history.window.reader.read_new", read_and_reach_back)
        recent.window.refresh(connection)

        found = recent.window.outside(connection, EVERYTHING, base, CUTOFF)
    assert found is not None
    assert sorted(row.id for row in found[0]) == [2, 3]


def test_the_window_cannot_tell_what_messages_contain(recent: Recent) -> None:
    recent.store()

    assert recent.since(FilledFilter((("contains", ("text",)),)), 10) is None


def test_the_window_cannot_tell_about_messages_before_it(recent: Recent) -> None:
    recent.store(age=500)

    assert recent.since(EVERYTHING, 300) == []
    assert recent.since(EVERYTHING, 600) is None


def test_the_window_is_updated_by_one_statement(recent: Recent) -> None:
    recent.store()
    recent.since(EVERYTHING, 10)
    recent.store()

    with statements(recent.settings.history_url) as sent:
        assert len(recent.since(EVERYTHING, 10)) == 2
    assert len(sent) == 1


def test_the_window_is_not_read_again_for_a_message_that_it_has(recent: Recent) -> None:
    recent.since(EVERYTHING, 10)
    message = recent.store()
    recent.positions(message)

    with statements(recent.settings.history_url) as sent:
        assert len(recent.since(EVERYTHING, 10, message)) == 1
    assert sent == []


def test_a_window_read_seconds_ago_is_read_again(
    recent: Recent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as where an outage came between two looks."""
    recent.since(EVERYTHING, 10)
    message = recent.store()
    recent.since(EVERYTHING, 10)
    recent.store()
    now = time.monotonic()
    monkeypatch.setattr("fedbadges.history.window.recent_window.time.monotonic", lambda: now + 6)

    assert len(recent.since(EVERYTHING, 10, message)) == 2


def test_a_message_sent_before_the_window_need_not_be_in_it(recent: Recent) -> None:
    recent.since(EVERYTHING, 10)
    old = recent.store(age=5000)
    assert recent.since(EVERYTHING, 10, old) == []

    with statements(recent.settings.history_url) as sent:
        assert recent.since(EVERYTHING, 10, old) == []
    assert sent == []


def test_messages_stored_before_a_message_came_count_for_it(recent: Recent) -> None:
    before = recent.store()
    recent.since(EVERYTHING, 10)
    recent.store()
    # Such as one that was read back from datanommer to be handled once more.
    again = replace(before, received=time.monotonic())

    assert len(recent.since(EVERYTHING, 10, again)) == 2


def test_the_window_is_not_read_again_for_a_message_of_a_backlog(recent: Recent) -> None:
    message = recent.store()
    recent.since(EVERYTHING, 10)
    position = recent.history.positions([message])[message]
    late = replace(message, received=time.monotonic())

    with statements(recent.settings.history_url) as sent:
        assert len(recent.since(EVERYTHING, 10, late, position)) == 1
        with reader(recent.settings.history_url).connect() as connection:
            assert recent.window.positions(connection, [late]) == {message.msg_id: [position]}
    assert sent == []

    # Nothing is known of a message whose row was not read.
    recent.store()
    assert len(recent.since(EVERYTHING, 10, late, (position[0], position[1] + 1))) == 2


def test_messages_committed_out_of_order_are_not_missed(postgresql: Any, tmp_path: Path) -> None:
    databases = postgresql.create_databases()
    settings = make_settings(databases, tmp_path)
    recent = Recent(settings, History(settings), RecentWindow(DISTANCE))
    recent.store()
    late = sa.text(
        "INSERT INTO messages (i, topic, timestamp, category, msg)"
        " VALUES (1, :topic, :now, 'a', '{}')"
    )
    made = engine(settings.history_url)
    with made.connect() as first, made.connect() as second:
        values = {"topic": TOPICS[0], "now": NOW}
        first.execute(late, values)
        recent.store()
        assert len(recent.since(EVERYTHING, 10)) == 2
        second.execute(late, values)
        recent.store()
        assert len(recent.since(EVERYTHING, 10)) == 3
        first.commit()
        assert len(recent.since(EVERYTHING, 10)) == 4
        second.commit()
        assert len(recent.since(EVERYTHING, 10)) == 5


def test_an_import_of_old_messages_hides_no_late_commit(
    postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those of an import."""
    monkeypatch.setattr("fedbadges.history.window.reader.LOOK_BACK", 10)
    monkeypatch.setattr("fedbadges.history.window.recent_window.LOOK_BACK", 10)
    databases = postgresql.create_databases()
    settings = make_settings(databases, tmp_path)
    recent = Recent(settings, History(settings), RecentWindow(DISTANCE))
    recent.store()
    with engine(settings.history_url).connect() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO messages (i, topic, timestamp, category, msg)"
                " VALUES (1, :topic, :now, 'a', '{}')"
            ),
            {"topic": TOPICS[0], "now": NOW},
        )
        recent.store()
        assert len(recent.since(EVERYTHING, 10)) == 2
        for _ in range(12):
            recent.store(age=50_000)
        recent.store()
        assert len(recent.since(EVERYTHING, 10)) == 3
        connection.commit()

    assert len(recent.since(EVERYTHING, 10)) == 4


@pytest.mark.parametrize("first", [1, 6])
def test_the_window_is_disabled_for_a_while_by_too_many_messages(
    recent: Recent, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.history.window.recent_window._MOST", 5)
    monkeypatch.setattr("fedbadges.history.window.recent_window._MANY", 4)
    clock = itertools.count()
    monkeypatch.setattr(
        "fedbadges.history.window.recent_window.time.monotonic", lambda: float(next(clock))
    )
    for _ in range(first):
        recent.store()
    recent.since(EVERYTHING, 10)
    for _ in range(6):
        recent.store()

    assert recent.since(EVERYTHING, 10) is None
    with statements(recent.settings.history_url) as sent:
        assert recent.since(EVERYTHING, 10) is None
    assert all("max(messages.id)" in statement for statement in sent)


def test_messages_before_the_cutoff_are_dropped_first(
    recent: Recent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.history.window.recent_window._MOST", 5)
    monkeypatch.setattr("fedbadges.history.window.recent_window._MANY", 4)
    recent.since(EVERYTHING, 10)
    for age in (300, 250, 200, 0, 0, 0):
        recent.store(age=age)

    assert len(recent.since(EVERYTHING, 50)) == 3
    assert len(recent.since(EVERYTHING, 220)) == 4
    assert recent.since(EVERYTHING, 260) is None


def test_messages_read_in_several_batches_are_complete(
    recent: Recent, monkeypatch: pytest.MonkeyPatch
) -> None:
    recent.since(EVERYTHING, 10)
    for _ in range(7):
        recent.store()
    monkeypatch.setattr("fedbadges.history.window.reader._BATCH", 7)

    assert len(recent.since(EVERYTHING, 10)) == 7


def test_the_window_is_read_anew_after_an_error(recent: Recent) -> None:
    recent.store()
    recent.since(EVERYTHING, 10)
    made = engine(recent.settings.history_url)
    with made.begin() as connection:
        connection.execute(sa.text("ALTER TABLE messages RENAME TO elsewhere"))
    with pytest.raises(sa.exc.SQLAlchemyError):
        recent.since(EVERYTHING, 10)
    with made.begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO messages"))

    assert len(recent.since(EVERYTHING, 10)) == 1


def test_the_window_is_read_anew_on_a_new_connection(recent: Recent) -> None:
    """It may lead to a server that was restored from a backup, and gives numbers once more."""
    for _ in range(3):
        recent.store()
    recent.since(EVERYTHING, 10)
    made = engine(recent.settings.history_url)
    with made.begin() as connection:
        connection.execute(sa.text("DELETE FROM users_messages"))
        connection.execute(sa.text("DELETE FROM messages"))
    reader(recent.settings.history_url).dispose()

    assert recent.since(EVERYTHING, 10) == []


def test_the_window_does_not_reach_back_on_a_new_connection(recent: Recent) -> None:
    """That may lead to another server."""
    old = recent.store(age=1000)
    recent.since(EVERYTHING, 10)
    reader(recent.settings.history_url).dispose()

    recent.positions(old)

    assert recent.window.seen().mark == 0
