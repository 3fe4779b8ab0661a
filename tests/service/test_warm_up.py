"""A daemon counts the past of all rules once, in the background, after it has caught up."""

import time
from typing import Any

import pytest
from support.daemon_restarts import HOUR, Start, after_first_pass, sent, start, store_message
from support.databases import Databases
from support.rules import rule, write_rules
from support.waiting import eventually

from fedbadges.replay.past_counts import PastCounts
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
