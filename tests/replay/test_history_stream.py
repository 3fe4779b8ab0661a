"""The history as a stream leaves out what does not matter, and nothing else."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from datanommer.models import Message as Row
from support.builders import make_settings, wipe
from support.databases import Databases
from support.histories import PastMessage, Storage
from support.strategies import START

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.replay.history_stream import HistoryStream, Page


@pytest.fixture(scope="module")
def settings(shared_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(shared_database, tmp_path_factory.mktemp("rules"))


@pytest.fixture(autouse=True)
def pages_of_four(shared_database: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    wipe(shared_database)
    monkeypatch.setattr("fedbadges.replay.history_stream._BATCH", 4)


def store(settings: Settings, topics: str) -> None:
    """Store a message for each letter, which is the last part of its topic."""
    Storage(settings).store(
        PastMessage(number, START + timedelta(hours=number), f"git.{letter}", {}, ())
        for number, letter in enumerate(topics, 1)
    )


def pages(settings: Settings, unwanted: str) -> list[Page]:
    stream = HistoryStream(settings)
    stream.start()
    return list(stream.headers(lambda topic, category: f"{topic[-1]} {category}" != unwanted))


def read(page: Page) -> str:
    return "".join(header.topic[-1] for header in page.headers)


def test_what_does_not_matter_is_left_out_once_it_was_seen_and_is_counted(
    settings: Settings,
) -> None:
    store(settings, "xaxaxxaxaxxaxx")

    found = pages(settings, "x git")

    # The last one of a page says where the next one begins.
    assert [read(page) for page in found] == ["xaxa", "ax", "aa", "x"]
    assert [page.size for page in found] == [4, 4, 4, 2]


@pytest.mark.parametrize("category", ["wiki", ""])
def test_a_message_of_the_same_topic_and_another_category_is_not_left_out(
    settings: Settings, category: str
) -> None:
    store(settings, "xaxaxxax")
    change_category(settings, category, "id = 5")

    found = pages(settings, "x git")

    assert [header.number for header in found[1].headers] == [5, 7, 8]
    assert found[1].headers[0].category == category


@pytest.mark.sqlite
def test_bytes_for_a_category_stop_no_reading(settings: Settings) -> None:
    store(settings, "xaxaxxax")
    change_category(settings, b"\xff", "id < 4")

    found = pages(settings, "x git")

    assert [read(page) for page in found] == ["xaxa", "xxax"]
    assert [read(page) for page in pages(settings, "x b'\\xff'")] == ["xaxa", "xxax"]


def change_category(settings: Settings, category: str | bytes, condition: str) -> None:
    with engine(settings.history_url).begin() as connection:
        statement = sa.update(Row.__table__).values(category=sa.literal(category))
        connection.execute(statement.where(sa.text(condition)))
