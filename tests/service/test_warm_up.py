"""A daemon counts the past of all rules once, in the background, after it has caught up."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from support.builders import statements
from support.daemon_restarts import HOUR, Start, after_first_pass, sent, start, store_message
from support.databases import Databases
from support.redis_server import RedisServer, needs_redis
from support.rules import rule, write_rules
from support.waiting import eventually

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.advisory_lock import advisory_lock
from fedbadges.databases.connections import parse_url
from fedbadges.errors import Unavailable
from fedbadges.messages import parse_message
from fedbadges.replay import past_counts
from fedbadges.replay.past_counts import PastCounts
from fedbadges.rules.criteria import backend_criteria
from fedbadges.service import warm_up
from fedbadges.service.daemon import Daemon

__all__ = ["start"]

BEGUN, DONE = "Counting the past of all rules", "Counted the past of all rules"

SECOND = rule(
    "Second",
    """
trigger: {topic: logger.first}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(msg.user)s"], categories: [logger]}
  operation: count
  condition: {greater than or equal to: 2}
recipient: "%(msg.user)s"
""",
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "_INTERVAL", 0.05)


def report(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = daemon.report()["warm_up"]
    return found


def warm(daemon: Daemon) -> Daemon:
    after_first_pass(daemon)
    eventually(lambda: report(daemon)["warm"], "the past to be counted")
    return daemon


def save(daemon: Daemon) -> None:
    daemon._parts.counts.step()


def logged(log: Any, event: str) -> list[str]:
    return [line for line in log.messages if line.startswith(event)]


@pytest.mark.sqlite
def test_past_is_counted_once_and_a_new_rule_alone(
    database: Databases, start: Start, tmp_path: Any, log: Any
) -> None:
    for name in ("alice", "alice", "bob"):
        store_message(database, sent(name, 30 * 24 * HOUR))

    daemon = warm(start())
    assert report(daemon) | {"kept": True, "running": False, "trouble": None} == report(daemon)
    assert logged(log, BEGUN) == [f"{BEGUN} rules=1 count=3"]
    assert logged(log, DONE) == [f"{DONE} count=3 counts=2"]

    warm(start())
    assert len(logged(log, BEGUN)) == 1, "it is remembered"

    write_rules(tmp_path / "rules", {"second": SECOND})
    daemon = warm(start())
    assert len(logged(log, BEGUN)) == 2
    daemon.reload_rules()
    write_rules(tmp_path / "rules", {"second": SECOND.replace("logger]", "logger, git]")})
    daemon.reload_rules()
    eventually(lambda: len(logged(log, DONE)) == 3, "the past of a rule that was changed")


@pytest.mark.sqlite
def test_past_is_counted_again_without_the_file(
    database: Databases, start: Start, tmp_path: Any, log: Any
) -> None:
    store_message(database, sent("alice", 30 * 24 * HOUR))
    warm(start()).stop()
    (tmp_path / "state" / "counts.sqlite").unlink()

    warm(start())

    assert len(logged(log, DONE)) == 2


@pytest.mark.sqlite
def test_pass_that_a_stop_interrupts_begins_again(
    database: Databases, start: Start, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_message(database, sent("alice", 30 * 24 * HOUR))
    monkeypatch.setattr(warm_up, "_MAX_PAUSE", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(warm_up.WarmUp, "_pause", lambda self, _: self._stopping.wait())
        daemon = start()
        eventually(lambda: report(daemon)["running"], "the pass")
        began = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began < 5
    assert not logged(log, DONE)

    warm(start())

    assert len(logged(log, DONE)) == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_daemons_over_one_datanommer_count_one_after_the_other(
    database: Databases, start: Start, log: Any
) -> None:
    url = parse_url(database.datanommer_url)
    with advisory_lock(url, "datanommer", warm_up._LOCK) as held:
        assert held
        daemon = after_first_pass(start())
        eventually(lambda: report(daemon)["waiting"], "the daemon to wait")
        assert not logged(log, BEGUN)

    warm(daemon)
    assert not report(daemon)["waiting"]
    assert len(logged(log, "Another daemon counts the past")) == 1


@pytest.fixture
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A cache that daemons share."""
    if request.param == "dbm":
        yield {"backend": "dogpile.cache.dbm", "arguments": {"filename": str(tmp_path / "cache")}}
        return
    server = RedisServer()
    yield server.cache
    server.close()


@pytest.mark.sqlite
@pytest.mark.parametrize("cache", ["dbm", pytest.param("redis", marks=needs_redis)], indirect=True)
def test_daemons_that_share_a_cache_count_the_past_once(
    database: Databases, start: Start, tmp_path: Path, log: Any, cache: dict[str, Any]
) -> None:
    for name in ("alice", "alice", "bob"):
        store_message(database, sent(name, 30 * 24 * HOUR))
    warm(start(cache=cache))
    assert logged(log, DONE) == [f"{DONE} count=3 counts=2"]

    daemon = warm(start(cache=cache, state_directory=str(tmp_path / "another")))

    assert len(logged(log, DONE)) == 1
    (history, rule) = daemon._parts.history, next(iter(daemon._parts.engine.rules))
    (criterion,) = backend_criteria(rule.criteria)
    assert isinstance(criterion, PastMessages)
    message = parse_message(sent("alice"))
    assert message is not None
    with statements(parse_url(database.datanommer_url)) as asked:
        assert history.count(criterion.filter.fill(message, None), message=message) == 2
    # What was stored late or sent since is counted, and nothing else.
    outside = ("messages.id > ?", "messages.timestamp > ?")
    counted = [each for each in asked if "count(" in each]
    assert all(any(condition in each for condition in outside) for each in counted)


@pytest.mark.sqlite
def test_rule_that_is_about_too_much_is_logged_once_and_reported_by_each_daemon(
    database: Databases, start: Start, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_counts, "_MOST_VALUES", 1)
    for name in ("alice", "bob"):
        store_message(database, sent(name, 30 * 24 * HOUR))

    daemons = [warm(start()), warm(start())]

    assert [report(daemon)["given_up"] for daemon in daemons] == [["first"], ["first"]]
    (line,) = logged(log, "A rule is about too much to count it in advance")
    assert "badge=first rule=" in line
    assert len(logged(log, DONE)) == 1


@pytest.mark.sqlite
@pytest.mark.parametrize("keys", [{"keep_counts": False}, {"state_directory": None}])
def test_nothing_is_counted_where_no_counts_are_kept(
    start: Start, log: Any, keys: dict[str, Any]
) -> None:
    daemon = after_first_pass(start(**keys))

    daemon._parts.warm_up.step()

    assert report(daemon) | {"kept": False, "warm": False, "running": False} == report(daemon)
    assert not logged(log, BEGUN)


@pytest.mark.sqlite
def test_outage_is_no_failure(
    database: Databases, start: Start, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the lock is asked for; what is asked afterwards waits for the end of the outage."""
    monkeypatch.setattr(warm_up, "_INTERVAL", 0.05)
    outage = Mock(side_effect=Unavailable("datanommer: it is away"))
    with monkeypatch.context() as patch:
        patch.setattr(warm_up, "advisory_lock", outage)
        daemon = after_first_pass(start())
        eventually(lambda: outage.call_count > 2, "another try")
        assert "it is away" in report(daemon)["trouble"]

    warm(daemon)
    assert report(daemon)["trouble"] is None
    assert not logged(log, "Could not count the past, trying again later")


def test_failure_is_reported_and_leaves_the_daemon_alone(
    database: Databases, start: Start, log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any) -> Any:
        raise ValueError("no memory")
        yield

    monkeypatch.setattr(PastCounts, "run", fail)
    monkeypatch.setattr(warm_up, "_RETRY", 0.05)
    daemon = after_first_pass(start())

    eventually(lambda: report(daemon)["trouble"], "the trouble")
    assert logged(log, "Could not count the past, trying again later")

    monkeypatch.undo()
    monkeypatch.setattr(warm_up, "_INTERVAL", 0.05)
    warm(daemon)
    assert report(daemon)["trouble"] is None
