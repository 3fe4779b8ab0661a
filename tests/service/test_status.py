"""What the daemon reports of itself: true, bounded, and JSON whatever names there are."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import make_message, make_settings
from support.bus import fedmsg_body
from support.daemon import make_daemon
from support.databases import sqlite_databases
from support.rules import counting_rule, rule, write_rules
from support.waiting import TIMEOUT, eventually

from fedbadges.engine.statistics import RuleStatistics
from fedbadges.errors import Stopped, Unavailable
from fedbadges.retry import OutageRetry
from fedbadges.service import database_health
from fedbadges.service.daemon import Daemon
from fedbadges.service.database_health import DatabaseHealth
from fedbadges.service.in_flight import InFlight

RULES = {
    "first": counting_rule("First Step", "logger.first", 1),
    "named": rule(
        "Named",
        """
trigger: {topic: wiki.edit}
criteria:
  filter: {topics: ["%(topic)s"]}
  operation: count
  condition: {greater than: 0}
recipient: "%(msg.user)s"
""",
    ),
}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    databases = sqlite_databases(tmp_path)
    write_rules(tmp_path / "rules", RULES)
    made = make_daemon(
        make_settings(
            databases,
            tmp_path / "rules",
            record_messages=True,
            state_directory=str(tmp_path / "state"),
        )
    )
    yield made
    made.drain()


def test_report_before_the_start(daemon: Daemon) -> None:
    report = daemon.report()

    assert report["state"] == "starting"
    assert report["last_award"] is None
    assert report["catch_up"]["until"] is None
    assert report["rules"]["in_force"] == 0


def test_report_counts_messages_and_awards(daemon: Daemon) -> None:
    daemon.start()
    daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "alice"))
    daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "alice"))
    daemon.handle_acknowledged(fedmsg_body("logger.other", {}, "alice"))

    report = daemon.report()

    assert (report["state"], report["handled"], report["in_hand"]) == ("running", 3, 0)
    assert report["awarded"] == 1
    first, named = (report["rules"]["tallies"][badge] for badge in ("first-step", "named"))
    assert (first["triggers"], first["awards"]) == (2, 1)
    assert first["funnel"] == {
        "seen": 2,
        "triggered": 2,
        "candidates": 1,
        "held": 1,
        "criteria_held": 1,
        "awarded": 1,
        "stops": (),
    }
    assert (named["triggers"], named["awards"], named["warning"]) == (0, 0, None)
    assert (report["last_award"]["user"], report["last_award"]["badge"]) == ("alice", "first-step")
    assert report["since"] <= report["last_award"]["at"] <= report["at"]
    assert report["databases"] == {"tahrir": None, "datanommer": None}
    assert report["revocations"] == {"count": 0, "for_good": 0}
    assert report["set_aside"] == 0
    daemon.stop()


def test_report_counts_broken_rules_and_lists_some_mistakes(daemon: Daemon, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"rules/{number}.yml").write_text(f"name: {'long ' * 300}\n")
    daemon.start()

    rules = daemon.report()["rules"]

    assert (rules["in_force"], rules["broken"], len(rules["mistakes"])) == (2, 30, 20)
    assert max(map(len, rules["mistakes"])) <= 500


def test_rule_that_cannot_work_is_reported_until_a_message_works(
    daemon: Daemon, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    daemon.start()
    for _ in range(30):
        daemon.handle_acknowledged(fedmsg_body("wiki.edit", {"usr": {"name": "alice"}}, "alice"))

    place = f"{tmp_path}/rules/named.yml:13:13"
    warning = daemon.report()["rules"]["tallies"]["named"]["warning"]
    assert warning == (
        f"{place}: the latest 30 messages that triggered the rule gave nobody the badge; "
        "in all of them 'msg.user' is missing; they have 'msg.usr'"
    )
    assert json.loads(json.dumps(daemon.report(), allow_nan=False)) is not None
    lines = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert lines == [
        f"Rule cannot work with the messages that trigger it rule={place} badge=named count=20 "
        "reason=\"in all of them 'msg.user' is missing; they have 'msg.usr'\""
    ]

    daemon.handle_acknowledged(fedmsg_body("wiki.edit", {"user": "alice"}, "alice"))

    assert daemon.report()["rules"]["tallies"]["named"]["warning"] is None
    daemon.stop()


def test_rule_that_is_changed_is_not_reported_any_more(daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    for _ in range(20):
        daemon.handle_acknowledged(fedmsg_body("wiki.edit", {"usr": "alice"}, "alice"))
    daemon.reload_rules()
    assert daemon.report()["rules"]["tallies"]["named"]["warning"] is not None

    write_rules(tmp_path / "rules", {"named": RULES["named"].replace("msg.user", "msg.usr")})
    daemon.reload_rules()

    assert daemon.report()["rules"]["tallies"]["named"]["warning"] is None
    daemon.stop()


@given(
    user=st.text(min_size=1, max_size=64), msg_id=st.one_of(st.text(max_size=300), st.integers())
)
def test_report_is_valid_json_whatever_a_message_contains(user: str, msg_id: object) -> None:
    message = make_message("wiki.edit", {"user": user}, msg_id=msg_id)
    tallies = RuleStatistics()
    tallies.awarded("named", user, message)
    award = tallies.last_award

    assert award is not None
    text = json.dumps(vars(award), allow_nan=False)
    assert text.isascii()
    assert len(text) < 12 * (256 + 64 + 100)


def test_message_counts_as_handled_once_and_not_if_it_is_requeued() -> None:
    ledger = InFlight()
    message, other = make_message(), make_message()
    ledger.begin(message)
    ledger.begin(other)
    assert (ledger.handled, len(ledger)) == (0, 2)

    ledger.done(message)
    ledger.done(message)
    ledger.requeue(other)

    assert (ledger.handled, len(ledger)) == (1, 0)


def test_outage_is_reported_until_it_ends() -> None:
    patience = OutageRetry()
    answers = threading.Event()

    def ask() -> None:
        if not answers.is_set():
            raise Unavailable("tahrir: away")

    assert patience.outage is None
    thread = threading.Thread(target=patience.call, args=[ask])
    thread.start()
    outage = eventually(lambda: patience.outage, "an outage")
    assert outage is not None
    assert outage.reason == "tahrir: away"
    assert abs(outage.since - time.time()) < 30
    answers.set()
    thread.join()
    assert patience.outage is None


def test_stop_ends_the_reported_outage() -> None:
    patience = OutageRetry()

    def ask() -> None:
        patience.stop()
        raise Unavailable("tahrir: away")

    with pytest.raises((Stopped, Unavailable)):
        patience.call(ask)
    assert patience.outage is None


def test_health_check_does_not_wait_for_a_database_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    asked = []
    now = [100.0]

    def hang() -> None:
        asked.append(1)
        release.wait(TIMEOUT)

    def wait(answers: Sequence[Future[object]], seconds: float) -> None:
        now[0] += seconds
        futures.wait([answers[1]], TIMEOUT)

    health = DatabaseHealth({"tahrir": hang, "datanommer": lambda: None})
    with monkeypatch.context() as clock:
        clock.setattr(database_health, "wait", wait)
        clock.setattr(time, "monotonic", lambda: now[0])
        assert health.check() == {"tahrir": "no answer for 1 s", "datanommer": None}
        assert health.check() == {"tahrir": "no answer for 2 s", "datanommer": None}

    assert len(asked) == 1
    release.set()
    eventually(lambda: health.check()["tahrir"] is None, "an answer")


def test_health_check_keeps_what_a_database_answered_until_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database_health, "_TIMEOUT", TIMEOUT)
    answers = iter([7])
    health = DatabaseHealth({"tahrir": lambda: next(answers)})

    assert health.answer("tahrir") is None
    assert health.check() == {"tahrir": None}
    assert health.answer("tahrir") == 7
    assert health.check() != {"tahrir": None}
    assert health.answer("tahrir") is None


def test_health_check_returns_why_a_database_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database_health, "_TIMEOUT", TIMEOUT)

    def refuse() -> None:
        raise Unavailable("tahrir: connection refused")

    assert DatabaseHealth({"tahrir": refuse}).check() == {"tahrir": "connection refused"}


def test_callers_who_wait_for_the_same_round_of_checks_share_it() -> None:
    began, go_on = threading.Event(), threading.Event()
    rounds: list[int] = []

    def check() -> None:
        rounds.append(1)
        began.set()
        go_on.wait(TIMEOUT)

    health = DatabaseHealth({"tahrir": check})
    with futures.ThreadPoolExecutor(9) as pool:
        first = pool.submit(health.check)
        assert began.wait(TIMEOUT)
        others = [pool.submit(health.check) for _ in range(8)]
        eventually(lambda: all(each.running() for each in others), "all ask")
        go_on.set()
        assert [each.result() for each in (first, *others)] == 9 * [{"tahrir": None}]

    # One may come so late that it needs a third.
    assert len(rounds) <= 3
