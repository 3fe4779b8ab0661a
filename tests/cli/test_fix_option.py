"""``fedbadges check --fix`` as a command: what it writes, prints and returns."""

import json
import os
import stat
from pathlib import Path

import pytest
from support.command import GOOD, fedbadges
from support.rule_text import complete

ODD = GOOD + "trigger:\n  lambda: msg['i'] is 1  # the first\n"
MENDED = ODD.replace("lambda: msg['i'] is 1", "fields:\n    i: 1")
STAYS = GOOD + "trigger: {lambda: json.dumps(msg) == ''}\n"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rules").mkdir()


def write(name: str, body: str) -> Path:
    path = Path("rules", name)
    path.write_text(complete(f"{body}name: {path.stem}\n"))
    return path


def content(name: str, body: str) -> str:
    return complete(f"{body}name: {name}\n")


def test_what_can_be_rewritten_is_written_and_said_with_its_place() -> None:
    path, other = write("a.yml", ODD), write("b.yml", STAYS)
    line = path.read_text().split("lambda")[0].count("\n") + 1

    done = fedbadges("check", "--fix", "--ignore", "whole-topic", "rules")

    assert path.read_text() == content("a", MENDED)
    assert other.read_text() == content("b", STAYS)
    first, second = done.stdout.splitlines()
    assert first == f"rules/a.yml:{line}:11: fixed: a lambda is 'fields: {{i: 1}}'"
    assert second.startswith(f"rules/b.yml:{line - 1}:19: left: this lambda stays")
    assert done.stderr == "1 thing fixed in 1 file\nnothing found in 2 files\n"
    assert done.exit_code == 0


def test_diff_only_shows_what_would_change() -> None:
    path = write("a.yml", ODD)
    before = path.read_text()

    done = fedbadges("check", "--fix", "--diff", "rules")

    assert path.read_text() == before
    assert (
        "-  lambda: msg['i'] is 1  # the first\n+  fields:\n+    i: 1  # the first\n" in done.stdout
    )
    assert (done.exit_code, done.stderr) == (1, "1 thing would be fixed in 1 file\n")
    write("a.yml", MENDED)
    assert fedbadges("check", "--fix", "--diff", "rules").exit_code == 0


def test_changes_are_no_part_of_json() -> None:
    write("a.yml", ODD)

    done = fedbadges("check", "--fix", "--format", "json", "rules")

    assert json.loads(done.stdout)["findings"] == []
    assert "fixed: a lambda is" in done.stderr


def test_a_file_keeps_its_permissions_and_its_links() -> None:
    path = write("a.yml", ODD)
    path.chmod(0o640)
    Path("link").mkdir()
    Path("link", "a.yml").symlink_to(path.resolve())

    assert fedbadges("check", "--fix", "link/a.yml").exit_code == 0

    assert Path("link", "a.yml").is_symlink()
    assert path.read_text() == content("a", MENDED)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in path.parent.iterdir()] == ["a.yml"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_cannot_be_written_is_an_error() -> None:
    write("a.yml", ODD).parent.chmod(0o555)

    done = fedbadges("check", "--fix", "rules")

    assert done.exit_code == 2
    assert "rules/a.yml: cannot be written: Permission denied" in done.stderr


def test_mistakes_that_cannot_be_mended_are_reported() -> None:
    path = write("a.yml", GOOD + "trigger: {topc: a.b, zzz: 1}\n")

    done = fedbadges("check", "--fix", "rules")

    assert "unknown key 'zzz'" in done.stdout
    assert "topc" in path.read_text()
    assert done.exit_code == 1


def test_fix_does_not_watch() -> None:
    write("a.yml", ODD)
    assert "--watch checks files" in fedbadges("check", "--fix", "--watch", "rules").stderr
