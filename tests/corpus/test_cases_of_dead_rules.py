"""Rules that cannot work, made after public bug reports: somebody hears of it."""

import json
from pathlib import Path

import pytest
from support.builders import make_settings
from support.daemon import make_daemon
from support.databases import sqlite_databases

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in log.records
        if record.name.startswith("fedbadges") and record.levelname == "WARNING"
    ]


def test_path_that_is_gone_is_a_warning_and_in_the_status(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = CASES / "path-that-is-gone"
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/rule.yml").write_bytes((case / "rule.yml").read_bytes())
    body = json.loads((case / "message.json").read_text())
    keys = {"record_messages": True}
    daemon = make_daemon(make_settings(sqlite_databases(tmp_path), tmp_path / "rules", **keys))
    daemon.start()

    for number in range(20):
        daemon.handle_acknowledged(body | {"msg_id": f"2026-{number}"})

    (line,) = [line for line in warnings(caplog) if "Rule cannot work" in line]
    assert f"rule={tmp_path}/rules/rule.yml:11:13 badge=first-update count=20" in line
    assert "'msg.update.submitter' is missing; they have 'msg.update.user'" in line
    tally = daemon.report()["rules"]["tallies"]["first-update"]
    assert tally["warning"] is not None
    assert (tally["triggers"], tally["awards"]) == (20, 0)
    daemon.stop()


def test_start_without_plugin_warns_of_the_rule_that_counts_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmsg.meta.make_processors", lambda **config: None)
    monkeypatch.setattr("fedmsg.meta.processors", [])
    keys = {"record_messages": True}
    directory = CASES / "counts-nothing-without-plugin"
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/rule.yml").write_bytes((directory / "rule.yml").read_bytes())
    daemon = make_daemon(make_settings(sqlite_databases(tmp_path), tmp_path / "rules", **keys))

    daemon.start()
    daemon.stop()

    assert "Users and packages are not stored without a plugin for fedmsg count=1 badges=one" in (
        warnings(caplog)
    )
