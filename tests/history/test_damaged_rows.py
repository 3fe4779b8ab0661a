"""Rows that cannot be read stop none of what reads the others, on both databases."""

import datetime
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from support.builders import make_message, make_settings
from support.daemon_restarts import sent, store_message
from support.damage import DAMAGES, store_damaged_rows
from support.databases import Databases

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.errors import DamagedRow
from fedbadges.history.history import History
from fedbadges.history.message_reader import MessageReader
from fedbadges.history.past_messages import Query
from fedbadges.history.rows import DamageLog, seconds_of
from fedbadges.history.sql import NameIds, prepare
from fedbadges.history.topics import TopicHistory
from fedbadges.history.window.reader import read_all, read_new
from fedbadges.lint.samples import LatestMessages
from fedbadges.replay.history_stream import HistoryStream
from fedbadges.rules.filters import FilledFilter, Pages

HEADER = ("topic", "timestamp")
"""The columns of a message without which it has no place in a replay."""


@pytest.fixture
def settings(database: Databases, tmp_path: Path) -> Settings:
    return make_settings(database, tmp_path)


@pytest.fixture
def last(database: Databases) -> int:
    """Store messages with damaged ones in between; return the number of the last one."""
    store_message(database, sent("alice", 70))
    damaged = store_damaged_rows(database)
    store_message(database, sent("bob", 50))
    return max(damaged) + 1


def test_damaged_rows_are_left_out_of_the_messages_that_are_read_and_logged(
    settings: Settings, last: int, caplog: pytest.LogCaptureFixture
) -> None:
    history = MessageReader(settings)

    found = history.messages(range(1, last + 1))

    assert [message.body["msg"]["user"] for message in found] == ["alice", "bob"]
    assert len(caplog.messages) == last - 2
    for number, line in enumerate(caplog.messages, 2):
        assert line.startswith(
            f"Could not parse a message of the history, skipping it row={number} msg_id="
        )
        assert len(line) < 500


def test_damaged_rows_stop_no_page_of_headers(settings: Settings, last: int) -> None:
    history = MessageReader(settings)

    by_number = history.headers_after(0, 100)
    by_time = [header for page in history.pages_since(time.time() - 100, 1) for header in page]

    assert [each.number for each in by_number] == list(range(1, last + 1))
    numbers = [each.number for each in by_time if each.damage is None]
    assert (numbers[0], numbers[-1]) == (1, last)


def test_damaged_rows_stop_no_replay(
    settings: Settings, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.replay.history_stream._BATCH", 1)
    stream = HistoryStream(settings)
    stream.start()

    entries = [each for page in stream.headers() for each in stream.entries(page.headers)]

    assert (entries[0].number, entries[-1].number) == (1, last)
    assert (entries[0].msg["user"], entries[-1].msg["user"]) == ("alice", "bob")


def test_replay_logs_each_row_that_has_no_place_in_it_with_its_id(
    database: Databases, settings: Settings, last: int, caplog: pytest.LogCaptureFixture
) -> None:
    stream = HistoryStream(settings)
    stream.start()

    assert [len(page.headers) for page in stream.headers()]

    columns = (column for column, _ in DAMAGES[database.kind].values())
    logged = {int(line.split(" row=")[1].split()[0]) for line in caplog.messages}
    assert logged == {row for row, column in enumerate(columns, 2) if column in HEADER}
    assert not [line for line in caplog.messages if "msg_id=None" in line]


def test_damaged_rows_stop_no_operation_over_past_messages(settings: Settings, last: int) -> None:
    everything = FilledFilter(())
    with Session(engine(settings.history_url)) as session:
        filtered = prepare(session.connection(), NameIds(), everything)
        query = Query.of(session, filtered, Pages())
        users = [each.msg["user"] for each in query.all()]
        assert query.all()[0].msg == {"user": "alice"}
    with reader(settings.history_url).connect() as connection:
        rows = list(prepare(connection, NameIds(), everything).messages(connection))

    # Nothing there has headers.
    assert set(users) == {"alice", "damaged", "bob"}
    assert users.count("damaged") <= 2
    assert {1, last} <= {row.id for row in rows}
    assert all(isinstance(row.timestamp, datetime.datetime) for row in rows)


def test_damaged_rows_stop_no_window(settings: Settings, last: int) -> None:
    floor = datetime.datetime(2020, 1, 1)
    with reader(settings.history_url).connect() as connection:
        loaded = read_all(connection, floor, 100)
        new = read_new(connection, floor, 1, [2], 100)

    assert {1, last} <= {each.id for each in loaded.messages}
    assert last in {each.id for each in new.messages}


@pytest.mark.sqlite
def test_bytes_for_a_category_or_a_sender_stop_no_window(
    database: Databases, settings: Settings
) -> None:
    store_message(database, sent("alice"))
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("UPDATE messages SET category = x'ff', agent_name = x'ff'"))
    with reader(settings.history_url).connect() as connection:
        (message,) = read_all(connection, datetime.datetime(2020, 1, 1), 100).messages

    assert (message.category, message.agent) == ("", None)


def test_damaged_rows_do_not_hide_that_others_are_stored(settings: Settings, last: int) -> None:
    headers = MessageReader(settings).headers_after(0, 100)
    messages = [make_message(msg_id=each.msg_id) for each in headers if each.msg_id]

    found = History(settings).positions(messages)

    assert {1, last} <= {number for _, number in found.values()}


def test_damaged_rows_stop_no_look_at_the_latest_messages(settings: Settings, last: int) -> None:
    history = TopicHistory(settings.history_url)

    (topic,) = [name for name in history.names if name.endswith("logger.first")]

    seen = history.last_seen(lambda name: name == topic)
    assert seen is not None
    assert abs(seconds_of(seen) - time.time()) < 1000
    sample = LatestMessages(history).of(topic)
    assert 2 <= sample.count <= last - 2


def test_damaged_rows_stop_no_search_for_the_latest_messages_of_somebody(
    settings: Settings, last: int
) -> None:
    history = MessageReader(settings)

    assert [each.number for each in history.latest_of(["alice", "bob"], 100, 100)] == [last, 1]


def test_message_that_is_asked_for_and_damaged_is_told_from_one_that_is_missing(
    database: Databases, settings: Settings
) -> None:
    message = sent("alice")
    store_message(database, message)
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("UPDATE messages SET msg = 'not json'"))
    history = MessageReader(settings)

    assert history.message("another") is None
    with pytest.raises(DamagedRow, match="JSONDecodeError"):
        history.message(message["msg_id"])


def test_damaged_row_that_is_skipped_again_is_not_logged_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    damages = DamageLog()

    for number in (1, 2, 1, 2, 3):
        damages.add(number, None, DamagedRow("no"))

    assert [line.split(" row=")[1][0] for line in caplog.messages] == ["1", "2", "3"]


def test_number_of_damaged_rows_is_logged_at_the_end_if_not_each_was(
    caplog: pytest.LogCaptureFixture,
) -> None:
    damages = DamageLog()
    for number in range(20):
        damages.add(number, None, DamagedRow("no"))
    damages.finish()
    assert len(caplog.messages) == 20

    for number in range(25):
        damages.add(number, None, DamagedRow("no"))
    damages.finish()

    assert len(caplog.messages) == 41
    assert caplog.messages[-1].endswith("count=25 row=24")


def test_ten_thousand_damaged_rows_are_some_dozen_lines(caplog: pytest.LogCaptureFixture) -> None:
    damages = DamageLog()

    for number in range(10_000):
        damages.add(number, f"id-{number}", DamagedRow("no"))

    assert len(caplog.messages) < 40
    assert caplog.messages[0].endswith("row=0 msg_id=id-0 error=no")
    assert caplog.messages[-1].endswith("count=8192 row=8191")
