"""Reading stored messages back, on both databases."""

import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import make_settings
from support.daemon_restarts import sent, store_message
from support.damage import store_damaged_rows
from support.databases import Databases

from fedbadges.databases.connections import engine
from fedbadges.errors import Unavailable
from fedbadges.history.message_reader import MessageReader


@pytest.fixture
def reader(database: Databases, tmp_path: Path) -> MessageReader:
    return MessageReader(make_settings(database, tmp_path))


def test_headers_are_paged_by_position_though_sent_at_the_same_moment(
    reader: MessageReader, database: Databases
) -> None:
    moment = float(int(time.time()))
    for number in range(5):
        store_message(database, sent(f"user{number}") | {"timestamp": moment})
    store_message(database, sent("early") | {"timestamp": moment - 10})

    assert reader.count_since(moment - 5) == 5
    last_row = reader.last()
    assert last_row is not None
    assert (last_row.number, last_row.sent) == (6, moment - 10)
    first, last = reader.pages_since(moment - 20, 3)
    assert [(each.number, each.sent) for each in first] == [
        (6, moment - 10),
        (1, moment),
        (2, moment),
    ]
    assert [each.number for each in last] == [3, 4, 5]
    assert [each.number for each in reader.headers_after(4, 10)] == [5, 6]


def test_messages_are_read_in_the_order_asked_for_with_users_and_signature(
    reader: MessageReader, database: Databases
) -> None:
    signature = {"crypto": "x509", "certificate": "c", "signature": "s"}
    alice, bob = sent("alice"), sent("bob") | signature
    store_message(database, alice)
    store_message(database, bob)

    found = reader.messages([2, 1, 3])

    assert [each.number for each in found] == [2, 1]
    assert [each.users for each in found] == [{"bob"}, {"alice"}]
    assert [each.credentials for each in found] == [signature, {}]
    assert [each.body["msg_id"] for each in found] == [bob["msg_id"], alice["msg_id"]]
    assert found[0].body["timestamp"] == pytest.approx(bob["timestamp"], abs=1e-5)
    assert not found[0].checked
    assert reader.message(bob["msg_id"]) == found[0]
    assert reader.message("another") is None


def test_size_is_that_of_the_content_in_bytes(reader: MessageReader, database: Databases) -> None:
    message = sent("alice")
    message["msg"]["text"] = "ä" * 1_000
    store_message(database, message)

    (header,) = reader.headers_after(0, 10)

    assert 2_000 < header.size < 7_000
    assert reader.messages([header.number])[0].size == header.size


def test_missing_table_makes_the_history_unavailable(
    reader: MessageReader, database: Databases
) -> None:
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE messages RENAME TO elsewhere"))

    with pytest.raises(Unavailable, match="messages"):
        reader.last()


@pytest.mark.sqlite
def test_rows_that_share_a_number_are_both_read(reader: MessageReader, database: Databases) -> None:
    """As after resetting the sequence: the number alone is no key."""
    for name in ("alice", "bob"):
        store_message(database, sent(name))
    with engine(database.datanommer_url).begin() as connection:
        for statement in (
            "CREATE TABLE others AS SELECT * FROM messages",
            "DROP TABLE messages",
            "ALTER TABLE others RENAME TO messages",
            "UPDATE messages SET id = 1",
        ):
            connection.execute(sa.text(statement))
    ids = {each.msg_id: each for each in reader.headers_after(0, 10)}

    assert {each.body["msg"]["user"] for each in reader.messages([1])} == {"alice", "bob"}
    for msg_id in ids:
        found = reader.message(str(msg_id))
        assert found is not None
        assert found.body["msg_id"] == msg_id


def test_last_message_is_the_latest_that_can_be_read(
    reader: MessageReader, database: Databases
) -> None:
    assert reader.last_sent() is None
    message = sent("alice")
    store_message(database, message)
    store_message(database, sent("bob", 50))
    store_damaged_rows(database)

    assert reader.last_sent() == pytest.approx(message["timestamp"], abs=1e-3)
