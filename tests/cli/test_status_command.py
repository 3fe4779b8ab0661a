"""``fedbadges status``: its output for each kind of report, or without one."""

import contextlib
import copy
import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from support.builders import make_settings
from support.command import fedbadges
from support.daemon import make_daemon
from support.databases import Databases
from support.monitoring import REPORT, hub_report, monitored
from support.waiting import TIMEOUT

from fedbadges.cli.status.problems import problems
from fedbadges.cli.status.tables import tables_of
from fedbadges.cli.terminal import print_lines

WARNING = (
    "rules/wiki-guide.yml:9:12: the latest 20 messages that triggered the rule gave nobody the "
    "badge; in all of them 'msg.usr' is missing; they have 'msg.user'"
)


def keys(value: Any) -> Any:
    """Return the keys of nested objects."""
    return {key: keys(each) for key, each in value.items()} if isinstance(value, dict) else None


def as_text(report: dict[str, Any]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        print_lines(*tables_of(report))
    return printed.getvalue()


def changed(**values: Any) -> dict[str, Any]:
    return copy.deepcopy(REPORT) | values


def test_sample_report_has_the_keys_of_a_daemon_s_report(tmp_path: Path) -> None:
    databases = Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")
    daemon = make_daemon(make_settings(databases, tmp_path))
    real, ours = daemon.report(), copy.deepcopy(REPORT)
    daemon.drain()

    for report in (real, ours):
        report["last_award"] = report["revocations"] = None
        report["rules"]["tallies"] = {}
    assert keys(real) == keys(ours)


def test_status_of_a_healthy_daemon_exits_with_0(tmp_path: Path) -> None:
    with monitored(tmp_path, hub_report(REPORT)) as endpoint:
        done = fedbadges("status", "--socket", endpoint)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("all is well\n\nrunning       fedbadges 1.1.0, for 34 minutes\n")


def test_status_as_json_is_the_report_with_its_problems(tmp_path: Path) -> None:
    with monitored(tmp_path, hub_report(changed(set_aside=2))) as endpoint:
        done = fedbadges("status", "--socket", endpoint, "--format", "json")

    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "problems": ["dead letters: 2"],
        **changed(set_aside=2),
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"state": "starting"}, "it has not started yet"),
        ({"state": "cannot start"}, "it cannot start; its log has the reason at CRITICAL"),
        (
            {"waiting_for": {"reason": "tahrir: away", "since": 1764000000.0}},
            "waiting since 2025-11-24 16:00:00 UTC: tahrir: away",
        ),
        (
            {"databases": {"tahrir": "away", "datanommer": None}},
            "tahrir is unavailable: away",
        ),
        ({"signatures": {"checked": True, "trouble": "expired"}}, "nothing is awarded: expired"),
        (
            {"overflown": True},
            "messages beyond 'badges.backlog_limit', or too large to queue, are shed",
        ),
        ({"bus": {"trouble": "none free", "unsent": 3}}, "awards are not published: none free"),
        (
            {"outbox": {"kept": True, "waiting": 3, "since": REPORT["at"] - 600, "trouble": None}},
            "notices in the outbox since 2025-11-24 16:24:00 UTC: 3",
        ),
        (
            {"outbox": {"kept": True, "waiting": 0, "since": None, "trouble": "tahrir: away"}},
            "the outbox does not work: tahrir: away",
        ),
        (
            {"ranks": {"people": 3, "waiting": False, "trouble": "tahrir: away"}},
            "ranks cannot be adjusted: tahrir: away",
        ),
        (
            {"progress": {"pending": 3, "written": 0, "dropped": 0, "trouble": "tahrir: away"}},
            "progress is not written: tahrir: away",
        ),
        (
            {"catch_up": REPORT["catch_up"] | {"trouble": "no table"}},
            "it cannot catch up: no table",
        ),
        (
            {"warm_up": REPORT["warm_up"] | {"trouble": "no memory"}},
            "the past cannot be counted: no memory",
        ),
        ({"rules": REPORT["rules"] | {"in_force": 0}}, "no rules are in force"),
        ({"set_aside": 7}, "dead letters: 7"),
    ],
)
def test_problems_are_reported(values: dict[str, Any], said: str) -> None:
    assert problems(changed(**values)) == [said]


@pytest.mark.parametrize(
    "values",
    [
        {"set_aside": None},
        {"outbox": None},
        {"outbox": {"kept": True, "waiting": 3, "since": REPORT["at"] - 60, "trouble": None}},
        {"ranks": {"people": 3, "waiting": True, "trouble": None}},
        {"catch_up": REPORT["catch_up"] | {"running": True}},
        {"backlog": 50},
    ],
)
def test_healthy_values_are_no_problems(values: dict[str, Any]) -> None:
    assert problems(changed(**values)) == []


def test_mistakes_in_rules_are_problems() -> None:
    rules = REPORT["rules"] | {"broken": 1, "mistakes": ["a.yml:1:1: wrong"]}

    assert problems(changed(rules=rules)) == [
        "rule files with mistakes: 1",
        "a.yml:1:1: wrong",
    ]


def troubled() -> dict[str, Any]:
    """Return a report with a rule that cannot work."""
    report = copy.deepcopy(REPORT)
    report["rules"]["tallies"]["wiki-guide"]["warning"] = WARNING
    return report


def test_rule_that_cannot_work_is_a_warning_as_text(tmp_path: Path) -> None:
    with monitored(tmp_path, hub_report(troubled())) as endpoint:
        done = fedbadges("status", "--socket", endpoint)

    assert done.exit_code == 1
    assert done.stdout.startswith(f"warning: {WARNING}\n\nrunning  ")
    assert "all is well" not in done.stdout


def test_rule_that_cannot_work_is_a_warning_as_json(tmp_path: Path) -> None:
    with monitored(tmp_path, hub_report(troubled())) as endpoint:
        done = fedbadges("status", "--socket", endpoint, "--format", "json")

    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report["problems"] == [f"warning: {WARNING}"]
    assert report["rules"]["tallies"]["wiki-guide"]["warning"] == WARNING


def test_text_shows_the_funnel_of_rules_whose_topics_were_seen() -> None:
    lines = as_text(REPORT).splitlines()

    assert lines[lines.index("") + 1 :] == [
        "badge         seen  triggered  candidates  held  criteria held  awarded",
        "gardener-i   18202         37           2    35              2        2",
        "gardener-ii  18202         37          37     0              0        0",
        "wiki-guide       5          5           4     1              0        0",
    ]


def test_text_of_a_daemon_without_funnels_shows_triggers_and_awards() -> None:
    rules = REPORT["rules"] | {"tallies": {"old": {"triggers": 3, "awards": 1}}}

    (line,) = [each for each in as_text(changed(rules=rules)).splitlines() if "old" in each]

    assert line.split() == ["old", "0", "3", "0", "0", "0", "1"]


def test_text_shows_how_long_catching_up_takes() -> None:
    catch_up = {"running": True, "done": 120, "count": 5000, "seconds_left": 12.3}
    text = as_text(changed(catch_up=REPORT["catch_up"] | catch_up))

    assert "UTC; 120 of 5000 messages read, about 12 s left\n" in text


def test_text_says_where_nothing_is_caught_up() -> None:
    text = as_text(changed(catch_up=REPORT["catch_up"] | {"whole": False, "until": None}))

    assert "\ncaught up     not needed, as the broker delivers what was not handled\n" in text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "kept, all of the past"),
        ({"warm": False}, "kept, the past is not counted yet"),
        ({"kept": False, "warm": False}, "not kept"),
        ({"warm": False, "waiting": True}, "kept, another daemon counts the past"),
        ({"given_up": ["big", "huge"]}, "kept, all of the past, but for too much in big, huge"),
        (
            {"warm": False, "running": True, "done": 120, "count": 5000, "seconds_left": 12.3},
            "counting the past; 120 of 5000 messages read, about 12 s left",
        ),
    ],
)
def test_text_shows_if_the_past_is_counted(values: dict[str, Any], said: str) -> None:
    text = as_text(changed(warm_up=REPORT["warm_up"] | values))

    assert f"\ncounts        {said}\n" in text


@pytest.mark.parametrize(
    ("people", "waiting", "said"),
    [
        (0, False, "adjusted"),
        (3, False, "people to adjust: 3"),
        (3, True, "people to adjust: 3, as it is another daemon's turn"),
    ],
)
def test_text_says_why_ranks_are_not_adjusted(people: int, waiting: bool, said: str) -> None:
    text = as_text(changed(ranks={"people": people, "waiting": waiting, "trouble": None}))

    assert f"\nranks         {said}\n" in text


def test_text_before_catching_up_claims_nothing() -> None:
    text = as_text(changed(state="starting", catch_up=REPORT["catch_up"] | {"until": None}))

    assert "\ncaught up     not started yet\n" in text


def test_text_of_an_award_without_a_message_id() -> None:
    text = as_text(changed(last_award=REPORT["last_award"] | {"msg_id": None}))

    assert "because of" not in text


@given(name=st.text(max_size=30))
def test_text_escapes_names(name: str) -> None:
    rules = REPORT["rules"] | {"tallies": {name: {"triggers": 1, "awards": 1}}}
    last = {"badge": name, "user": name, "msg_id": name, "at": 1764000000.0}
    text = as_text(changed(rules=rules, last_award=last))

    assert len(text.splitlines()) == len(as_text(REPORT).splitlines()) - 2
    assert all(line.isprintable() for line in text.split("\n"))


# Where there is nothing


def test_status_without_monitoring_names_the_keys_to_set(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("config = {'endpoints': {}}\n")

    done = fedbadges("status", "--config", str(tmp_path / "config.py"))

    assert (done.exit_code, done.stderr) == (2, "")
    assert "set 'badges.metrics.address'" in done.stdout
    assert "'moksha.monitoring.socket'" in done.stdout
    assert "'moksha.monitoring.socket.mode'" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_status_takes_the_address_from_the_configuration(tmp_path: Path) -> None:
    with monitored(tmp_path, hub_report(REPORT)) as endpoint:
        text = f"config = {{'endpoints': {{}}, 'moksha.monitoring.socket': {endpoint!r}}}\n"
        (tmp_path / "config.py").write_text(text)
        done = fedbadges("status", "--config", str(tmp_path / "config.py"))

    assert done.exit_code == 0


def test_missing_socket_is_reported_at_once(tmp_path: Path) -> None:
    done = fedbadges("status", "--socket", f"ipc://{tmp_path}/none.sock", "--timeout", "3600")

    assert (done.exit_code, done.stderr) == (2, "")
    assert done.stdout == (
        f"{tmp_path}/none.sock: No such file or directory; is a hub running that has it as its "
        "'moksha.monitoring.socket'?\n"
    )


def test_silent_hub_is_reported_after_the_timeout(tmp_path: Path) -> None:
    with silent(tmp_path) as (endpoint, _):
        done = fedbadges("status", "--socket", endpoint, "--timeout", "0.3")

    assert (done.exit_code, done.stderr) == (2, "")
    assert done.stdout == (
        f"No hub has reported at {endpoint} for 0.3 s, although it should every 5 s\n"
    )


def test_ctrl_c_before_a_report_is_reported(tmp_path: Path) -> None:
    with silent(tmp_path) as (endpoint, hub):
        waiting = subprocess.Popen(
            [Path(sys.executable).with_name("fedbadges"), "status", "--socket", endpoint],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert hub.poll(1000 * TIMEOUT), "nobody listens"
        waiting.send_signal(signal.SIGINT)
        printed, said = waiting.communicate(timeout=TIMEOUT)

    assert (waiting.returncode, said) == (2, "")
    assert printed == "Stopped before the daemon reported\n"


def test_invalid_address_is_reported() -> None:
    done = fedbadges("status", "--socket", "nonsense")

    assert (done.exit_code, done.stderr) == (2, "")
    assert done.stdout.startswith("'nonsense' is not an address of ZeroMQ: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"hello", "is not a hub"),
        (b"\xff\xfe", "is not a hub"),
        (b"[]", "is not a hub"),
        (b'{"consumers": [1]}', "is not a hub"),
        (b'{"consumers": []}', "runs no badges consumer"),
        (hub_report(None), "does not report"),
        (hub_report({"state": "running"}), "is of another version"),
        (hub_report(changed(since="yesterday")), "is of another version"),
    ],
)
def test_unknown_report_is_one_line(tmp_path: Path, text: bytes, said: str) -> None:
    with monitored(tmp_path, text) as endpoint:
        done = fedbadges("status", "--socket", endpoint)

    assert (done.exit_code, done.stderr) == (2, "")
    assert said in done.stdout
    assert len(done.stdout.splitlines()) == 1


@contextlib.contextmanager
def silent(directory: Path) -> Iterator[tuple[str, zmq.Socket]]:
    """Yield a hub that publishes nothing, and its socket, which reports who listens."""
    endpoint = f"ipc://{directory}/s"
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.bind(endpoint)
        yield endpoint, socket


def test_wildcard_address_is_reached(tmp_path: Path) -> None:
    """The hub listens on all addresses of the machine."""
    stopping = threading.Event()
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        port = socket.bind_to_random_port("tcp://*")

        def publish() -> None:
            while not stopping.wait(0.05):
                socket.send(hub_report(REPORT))

        thread = threading.Thread(target=publish)
        thread.start()
        done = fedbadges("status", "--socket", f"tcp://*:{port}")
        stopping.set()
        thread.join()

    assert done.exit_code == 0
