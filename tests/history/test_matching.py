"""A filter selects the same messages in memory as in SQL."""

import datetime
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.builders import make_settings
from support.databases import Databases

from fedbadges.databases.connections import engine
from fedbadges.history.matching import Matcher, reader_of
from fedbadges.history.sql import NameIds, prepare
from fedbadges.rules.filters import FilledFilter

START = datetime.datetime(2026, 1, 1)
TOPICS = ("org.example.dev.git.receive", "org.example.dev.wiki.edit", "100%")
CATEGORIES = ("git", "wiki")
NAMES = ("ann", "Ann", "100%")
PACKAGES = ("bash", "a'b")
TEXTS = ("Guake", "guake", "x_y", "xzy", "100%", "é", "\\", '"', "NULL")
IDS = ("2026-1", "2026-2")
UNKNOWN = "unknown"

#: The ids of the names in the database.
NAME_IDS = {name: number for number, name in enumerate(NAMES, 1)}
PACKAGE_IDS = {name: number for number, name in enumerate(PACKAGES, 1)}


def some(values: tuple[str, ...], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(values), min_size=least).map(lambda found: tuple(sorted(found)))


hours = st.integers(0, 3).map(lambda hour: START + datetime.timedelta(hours=hour))
messages = st.lists(
    st.fixed_dictionaries(
        {
            "timestamp": hours,
            "topic": st.sampled_from(TOPICS),
            "category": st.sampled_from(CATEGORIES),
            "agent": st.none() | st.sampled_from(NAMES),
            "users": some(NAMES),
            "packages": some(PACKAGES),
            "has_id": st.booleans(),
            "content": st.sampled_from(TEXTS),
        }
    ),
    min_size=1,
    max_size=6,
)
values = {
    "topics": TOPICS,
    "categories": CATEGORIES,
    "agents": NAMES,
    "users": NAMES,
    "packages": PACKAGES,
}
lists = {
    f"{prefix}{key}": some((*known, UNKNOWN), 1)
    for key, known in values.items()
    for prefix in ("", "not_")
} | {"contains": some(TEXTS, 1)}
filters = st.builds(
    lambda lists, msg_id, span: FilledFilter(tuple(sorted(lists.items())), msg_id, *span),
    st.sets(st.sampled_from(sorted(lists)), max_size=3).flatmap(
        lambda keys: st.fixed_dictionaries({key: lists[key] for key in keys})
    ),
    st.none() | st.sampled_from((*IDS, UNKNOWN)),
    st.just((None, None)) | st.tuples(hours, hours),
)


@pytest.fixture(scope="module")
def history(
    shared_database: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sa.Engine]:
    """A history without messages, that knows all names but the unknown one."""
    settings = make_settings(shared_database, tmp_path_factory.mktemp("rules"))
    made = engine(settings.history_url)
    with made.begin() as connection:
        for kind, ids in ((User, NAME_IDS), (Package, PACKAGE_IDS)):
            for name, number in ids.items():
                connection.execute(kind.__table__.insert().values(id=number, name=name))
    yield made
    made.dispose()


def store(connection: sa.Connection, number: int, message: dict[str, Any]) -> None:
    """Stores a message with a number; its id, if it has one, follows from that."""
    message["msg_id"] = f"2026-{number}" if message["has_id"] else None
    connection.execute(
        Row.__table__.insert().values(
            id=number,
            i=1,
            msg_id=message["msg_id"],
            topic=message["topic"],
            timestamp=message["timestamp"],
            category=message["category"],
            agent_name=message["agent"],
            msg={"text": message["content"]},
        )
    )
    for table, ids, names in (
        (users_assoc_table, NAME_IDS, message["users"]),
        (packages_assoc_table, PACKAGE_IDS, message["packages"]),
    ):
        for name in names:
            association = {table.c[0].name: ids[name], "msg_id": number}
            association["msg_timestamp"] = message["timestamp"]
            connection.execute(table.insert().values(association))


def select(connection: sa.Connection, filled: FilledFilter) -> dict[int, str]:
    """Returns the numbers and contents of the messages that a filter selects by SQL."""
    query = prepare(connection, NameIds(), filled)
    return {row.id: row.text for row in query.messages(connection)}


@given(messages, st.lists(filters, min_size=1, max_size=8))
@examples(max_examples=60)
def test_a_filter_selects_the_same_in_memory_as_in_sql(
    history: sa.Engine, messages: list[dict[str, Any]], filters: list[FilledFilter]
) -> None:
    with history.connect() as connection:
        for number, message in enumerate(messages, 1):
            store(connection, number, message)
        contents = select(connection, FilledFilter(()))
        in_memory = {
            number: SimpleNamespace(**message, text=contents[number])
            for number, message in enumerate(messages, 1)
        }

        for filled in filters:
            matcher = Matcher(filled)
            found = {number for number, each in in_memory.items() if matcher.matches(each)}
            assert found == set(select(connection, filled))
            # What can be said without the rest of a message contradicts no match.
            for number in found:
                message = in_memory[number]
                assert matcher.may_match(message.topic, message.category)
        connection.rollback()


@pytest.mark.parametrize("key", ["contains", "topics"])
def test_only_a_filter_for_contents_reads_contents(key: str) -> None:
    assert Matcher(FilledFilter(((key, ("text",)),))).reads_content is (key == "contains")


def test_a_topic_that_a_filter_excludes_cannot_match() -> None:
    matcher = Matcher(FilledFilter((("not_categories", ("git",)), ("topics", ("a",)))))

    assert matcher.may_match("a", "wiki")
    assert not matcher.may_match("b", "wiki")
    assert not matcher.may_match("a", "git")


def test_a_message_has_no_values_for_what_it_lacks() -> None:
    message = SimpleNamespace(agent=None, users=("ann",))

    assert not reader_of("agents")(message)
    assert reader_of("users")(message) == ("ann",)
