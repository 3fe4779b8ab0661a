"""Counts that daemons share in a real Redis."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builders import make_settings, statements
from support.cached_history import DISTANCE, Past, of
from support.databases import Databases
from support.optimisations import needs
from support.redis_server import RedisServer, needs_redis

pytestmark = [needs_redis, needs("keep_counts")]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    made = RedisServer()
    yield made
    made.close()


@pytest.fixture
def daemons(redis: RedisServer, sqlite_database: Databases, tmp_path: Path) -> tuple[Past, Past]:
    """Two processes' views of one history, each with a connection of its own."""
    settings = make_settings(sqlite_database, tmp_path, cache=redis.cache)
    return Past(settings), Past(settings)


def counts(daemon: Past, topic: str) -> list[str]:
    """Let a daemon count, and return the statements that count."""
    with statements(daemon.url) as asked:
        daemon.compare(of(topic))
    # The last is of the history without a cache, with which it is compared.
    return [each for each in asked if "count(" in each][:-1]


def test_daemons_share_counts_which_are_right(daemons: tuple[Past, Past]) -> None:
    past, other = daemons
    topic = past.topic()
    for age in (3 * DISTANCE, 2 * DISTANCE, 0.5):
        past.store(topic, "ann", age)
    past.begin(1)
    past.compare(of(topic))

    outside = ("messages.id > ?", "messages.timestamp > ?")
    counted = counts(other, topic)
    assert all(any(each in asked for each in outside) for asked in counted), "not all is counted"
    past.store(topic, "ann", 2 * DISTANCE, begun=0)
    for each in (other, past, other, past):
        each.compare(of(topic))
        each.compare(of(topic, contains="{"))


def test_counts_are_right_and_soon_there_while_redis_hangs_or_is_gone(
    daemons: tuple[Past, Past], redis: RedisServer
) -> None:
    past, other = daemons
    topic = past.topic()
    past.store(topic, "ann", 2 * DISTANCE)
    past.compare(of(topic))
    redis.signal(signal.SIGSTOP)
    past.store(topic, "ann", 2 * DISTANCE)
    began = time.monotonic()
    for _ in range(20):
        past.compare(of(topic))
    assert time.monotonic() - began < 15, "it is not waited for each time"
    redis.signal(signal.SIGCONT)
    other.compare(of(topic))

    redis.kill()
    past.store(topic, "ann", 2 * DISTANCE)
    for each in daemons:
        each.compare(of(topic))
    redis.start()
    other.compare(of(topic))
    assert not counts(other, topic), "it is used again"
