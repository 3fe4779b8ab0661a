"""Several daemons over the same databases: what must be done once is done once."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_settings
from support.bus import fedmsg_body
from support.databases import Databases, awards
from support.publisher import FakePublisher
from support.rules import counting_rule, write_rules

from fedbadges.messages import Notice
from fedbadges.service.daemon import Daemon

PEOPLE = [f"person{number}" for number in range(20)]


class Fixture:
    """Daemons, each with what it published."""

    def __init__(self, databases: Databases, directory: Path) -> None:
        self._databases = databases
        self._directory = directory
        self.daemons: list[Daemon] = []
        self.publishers: list[FakePublisher] = []
        write_rules(directory / "rules", {"twice": counting_rule("Twice", "logger.twice", 2)})

    def start(self, **keys: Any) -> Daemon:
        settings = make_settings(
            self._databases,
            self._directory / "rules",
            record_messages=True,
            reload=False,
            state_directory=str(self._directory / f"state{len(self.daemons)}"),
            rank_interval=3600,
        )
        self.publishers.append(FakePublisher())
        daemon = Daemon(settings, self.publishers[-1], **keys)
        self.daemons.append(daemon)
        daemon.start()
        assert daemon.started.result(60) is None
        return daemon

    def stop(self) -> None:
        for daemon in self.daemons:
            daemon.stop()

    def sent(self, topic: str) -> list[Notice]:
        return [
            notice
            for publisher in self.publishers
            for notice in publisher.sent
            if notice.topic == topic
        ]


@pytest.fixture
def several(postgresql_database: Databases, tmp_path: Path) -> Iterator[Fixture]:
    made = Fixture(postgresql_database, tmp_path)
    yield made
    made.stop()


def hear_everything(daemon: Daemon, half: int, bodies: list[dict[str, Any]]) -> None:
    """Let a daemon hear all messages, as on ZeroMQ."""
    for body in bodies:
        daemon.handle(body)
    daemon.flush()


def share(daemon: Daemon, half: int, bodies: list[dict[str, Any]]) -> None:
    """Let a daemon handle every other message, as from a broker's queue."""
    for body in bodies[half::2]:
        daemon.handle_acknowledged(body)


@pytest.mark.parametrize("deliver", [hear_everything, share])
def test_badges_and_notices_are_given_once_by_two_daemons_at_once(
    several: Fixture,
    postgresql_database: Databases,
    deliver: Callable[[Daemon, int, list[dict[str, Any]]], None],
) -> None:
    daemons = [several.start(redelivered=deliver is share) for _ in range(2)]
    bodies = [fedmsg_body("logger.twice", {"user": name}, name) for name in PEOPLE for _ in "12"]

    with ThreadPoolExecutor() as threads:
        list(threads.map(deliver, daemons, (0, 1), (bodies, bodies)))
    several.stop()

    assert awards(postgresql_database) == sorted((name, "twice") for name in PEOPLE)
    announced = several.sent("badge.award")
    assert Counter(each.body["user"]["username"] for each in announced) == Counter(PEOPLE)
    ranked = several.sent("person.rank.advance")
    assert {each.body["person"]["nickname"] for each in ranked} == set(PEOPLE)
    # None, as nobody had one before their award, though the other daemon may have set it since.
    assert {(each.body["old_rank"], each.body["person"]["rank"]) for each in ranked} == {(None, 1)}
