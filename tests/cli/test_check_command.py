"""``fedbadges check`` as a command: its output, its formats and its exit codes."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_config
from support.command import GOOD, fedbadges
from support.databases import Databases
from support.rule_text import complete
from support.terminal import on_terminal

from fedbadges.cli.deployment import HISTORY, TAHRIR, Deployment
from fedbadges.cli.deployment import RULES as DIRECTORY
from fedbadges.lint import linter as run
from fedbadges.rules.loader import load_file
from fedbadges.rules.rule import Rule

COMMAND = Path(sys.executable).with_name("fedbadges")

ODD = GOOD + "trigger:\n  lambda: msg['i'] is 1\n"
BAD = GOOD + "trigger: {topc: git.receive}\n"

MISTAKE = (
    "unknown key 'topc' in a trigger; did you mean 'topic'? "
    "There are 'topic', 'category', 'fields', 'lambda', 'all', 'any' and 'not'"
)
HINT = "'is 1' asks for the same object, not for an equal value; write '== 1'"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the command in an empty directory, as somebody who has nothing but rules."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def write(name: str, body: str) -> Path:
    """Write a rule, whose badge is named after its file."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(complete(f"{body}name: {path.stem}\n"))
    return path


def test_good_rules_exit_with_0() -> None:
    write("rules/a.yml", GOOD)
    write("rules/sub/b.yaml", GOOD + "recipient_nick2fas: Yes\n")

    done = fedbadges("check", "rules")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "nothing found in 2 files\n"


def test_findings_are_lines_on_standard_output_and_exit_with_1() -> None:
    write("rules/bad.yml", BAD)
    write("rules/odd.yml", ODD)

    done = fedbadges("check", "rules")

    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"rules/bad.yml:6:11: error: {MISTAKE} [mistake]",
        f"rules/odd.yml:7:11: warning: {HINT} [is-literal]",
    ]
    assert done.stderr == "1 error and 1 warning found in 2 files\n"


def test_warning_alone_exits_with_1() -> None:
    assert fedbadges("check", write("odd.yml", ODD)).exit_code == 1


def test_findings_as_json_have_everything() -> None:
    write("rules/bad.yml", BAD)

    done = fedbadges("check", "--format", "json", "rules")

    assert done.exit_code == 1
    assert json.loads(done.stdout) == {
        "files": 1,
        "errors": 1,
        "warnings": 0,
        "complete": True,
        "findings": [
            {
                "path": "rules/bad.yml",
                "line": 6,
                "column": 11,
                "severity": "error",
                "code": "mistake",
                "message": MISTAKE,
            }
        ],
    }


def test_good_rules_as_json_have_no_findings() -> None:
    done = fedbadges("check", "--format", "json", write("a.yml", GOOD))

    assert (done.exit_code, json.loads(done.stdout)["findings"]) == (0, [])


def test_findings_as_github_are_workflow_commands() -> None:
    done = fedbadges("check", "--format", "github", write("odd.yml", ODD), write("bad.yml", BAD))

    assert done.stdout.splitlines() == [
        f"::error file=bad.yml,line=6,col=11,title=fedbadges mistake::{MISTAKE}",
        f"::warning file=odd.yml,line=7,col=11,title=fedbadges is-literal::{HINT}",
    ]


def test_file_names_and_texts_are_escaped() -> None:
    path = write("a,b:c\n%::error::\x1b[31m.yml", "")
    path.write_text(complete(BAD.replace("topc", '"a%0A\\n::b"')))

    text = fedbadges("check", path).stdout
    github = fedbadges("check", "--format", "github", path).stdout

    assert text.startswith(r"a,b:c\n%::error::\x1b[31m.yml:6:11: error: unknown key 'a%0A\n::b'")
    assert text.count("\n") == 1
    assert github.startswith(
        r"::error file=a%2Cb%3Ac\n%25%3A%3Aerror%3A%3A\x1b[31m.yml,line=6,col=11,"
        r"title=fedbadges mistake::unknown key 'a%250A\n::b'"
    )
    assert github.count("\n") == 1


def test_ignored_findings_are_left_out() -> None:
    path = write("odd.yml", ODD)

    done = fedbadges("check", "--ignore", "same-for-all", "--ignore", "is-literal", path)

    assert (done.exit_code, done.stdout) == (0, "")


def test_unknown_code_to_ignore_exits_with_2() -> None:
    done = fedbadges("check", "--ignore", "is-litreal", write("odd.yml", ODD))

    assert done.exit_code == 2
    assert "'is-literal'" in done.stderr


def test_file_reached_by_several_paths_is_checked_once() -> None:
    path = write("rules/a.yml", GOOD)
    Path("link").symlink_to("rules")

    done = fedbadges("check", path, "rules", "link", "./rules/../rules")

    assert (done.exit_code, done.stderr) == (0, "nothing found in 1 file\n")


def test_what_cannot_be_read_is_an_error_each() -> None:
    write("rules/a.yml", GOOD)
    Path("rules/folder.yml").mkdir()
    for name, target in {"gone": "nowhere", "gone.yml": "nowhere", "loop.yml": "loop.yml"}.items():
        Path("rules", name).symlink_to(target)
    os.mkfifo("rules/pipe.yml")
    with Path("rules/sparse.yml").open("wb") as sparse:
        sparse.truncate(1 << 30)

    assert fedbadges("check", "rules").stdout.splitlines() == [
        "rules/gone:1:1: error: cannot be read: No such file or directory [unreadable]",
        "rules/gone.yml:1:1: error: cannot be read: No such file or directory [mistake]",
        "rules/loop.yml:1:1: error: cannot be read: Too many levels of symbolic links [mistake]",
        "rules/pipe.yml:1:1: error: cannot be read: not a regular file [mistake]",
        "rules/sparse.yml:1:1: error: the file has more than 131072 bytes [mistake]",
    ]


def test_file_that_is_gone_when_it_is_read_again_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write("rules/a.yml", GOOD)

    def load_and_remove(*arguments: Any, **others: Any) -> tuple[Rule, ...]:
        rules = load_file(*arguments, **others)
        path.unlink()
        return rules

    monkeypatch.setattr("fedbadges.lint.linter.load_file", load_and_remove)

    assert fedbadges("check", "rules").stdout.splitlines() == [
        "rules/a.yml:1:1: error: cannot be read: No such file or directory [mistake]"
    ]


def test_missing_path_exits_with_2() -> None:
    done = fedbadges("check", "rules")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "Path 'rules' does not exist" in done.stderr


def test_directory_without_rules_exits_with_2() -> None:
    Path("rules").mkdir()
    Path("rules/README").touch()

    done = fedbadges("check", "rules")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "rules: no file there ends in .yml or .yaml\n"


def test_check_needs_neither_configuration_nor_database() -> None:
    Path("fedmsg.d").mkdir()
    Path("fedmsg.d/broken.py").write_text("raise RuntimeError('was read')\n")
    path = write("a.yml", 'criteria: {fasjson: {group: a}}\nrecipient: "%(msg.user)s"\n')

    done = fedbadges("check", path)

    assert (done.exit_code, done.stdout) == (0, "")


def configuration(tmp_path: Path, **keys: object) -> Path:
    databases = Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")
    path = tmp_path / "fedmsg.py"
    config = make_config(databases, tmp_path) | {"endpoints": {}} | keys
    path.write_text(f"config = {config!r}\n")
    return path


def test_check_with_configuration_reports_missing_settings(tmp_path: Path) -> None:
    path = write("a.yml", 'criteria: {fasjson: {group: a}}\nrecipient: "%(msg.user)s"\n')

    done = fedbadges("check", "--config", configuration(tmp_path), path)

    assert done.exit_code == 1
    assert done.stdout == (
        "a.yml:1:21: error: 'fasjson' needs the setting 'badges.fasjson.url' [mistake]\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("config = {'endpoints': {}}", "missing key 'datanommer.sqlalchemy.url'; expected a "),
        ("config = 1 +", "fedmsg cannot use its configuration: {path}:1: SyntaxError: invalid "),
        ("import nowhere", "fedmsg cannot use its configuration: ModuleNotFoundError: No module "),
        ("config = {}", "fedmsg cannot use its configuration: ValueError: No config value 'end"),
    ],
)
def test_unusable_configuration_exits_with_2(tmp_path: Path, text: str, expected: str) -> None:
    config = tmp_path / "fedmsg.py"
    config.write_text(text)

    done = fedbadges("check", "--config", config, write("a.yml", GOOD))

    assert (done.exit_code, done.stdout) == (2, "")
    assert expected.format(path=config) in done.stderr


def test_ctrl_c_shows_the_findings_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        write(f"rules/{name}.yml", BAD)

    def interrupt(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "b.yml":
            signal.raise_signal(signal.SIGINT)
        return load_file(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "load_file", interrupt)
    done = fedbadges("check", "--format", "json", "rules")

    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert [finding["path"] for finding in found["findings"]] == ["rules/a.yml"]
    assert found["complete"] is False
    assert done.stderr == "Stopped before all files were checked: 1 error found in 2 files\n"


def test_ctrl_c_before_any_finding_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    write("rules/a.yml", BAD)
    monkeypatch.setattr(run, "load_file", lambda *_, **__: signal.raise_signal(signal.SIGINT))

    done = fedbadges("check", "rules")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "Stopped before all files were checked: nothing found in 1 file\n"


def test_findings_on_a_terminal_have_colours() -> None:
    write("rules/bad.yml", BAD)

    shown = on_terminal(COMMAND, "check", "rules")
    plain = subprocess.run([COMMAND, "check", "rules"], capture_output=True, text=True)

    assert "\x1b[1;31merror" in shown
    assert "\x1b" not in plain.stdout + plain.stderr
    # A line is not cut, however narrow the terminal, so that it can be copied.
    assert f"rules/bad.yml:6:11: error: {MISTAKE} [mistake]" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert plain.stdout == f"rules/bad.yml:6:11: error: {MISTAKE} [mistake]\n"


def test_file_of_tests_is_an_error() -> None:
    write("a.yml", GOOD)
    Path("a.yml.test").write_text("tests: []\n")

    done = fedbadges("check", "a.yml.test")

    assert done.exit_code == 1
    assert done.stdout == (
        "a.yml.test:1:1: error: this is a file of tests; run 'fedbadges test a.yml.test' "
        "[mistake]\n"
    )


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["check", "--history", "a.yml"], [DIRECTORY, HISTORY, TAHRIR]),
        (["explain", "--id", "1"], [DIRECTORY, HISTORY, TAHRIR]),
        (["explain", "--rules", ".", "--id", "1"], [HISTORY, TAHRIR]),
        (["preview", "a"], [HISTORY]),
        (["preview", "--history-url", "sqlite://", "a"], []),
        (
            ["status"],
            [
                "badges.metrics.address",
                "moksha.monitoring.socket",
                "moksha.monitoring.socket.mode",
            ],
        ),
    ],
)
def test_command_without_configuration_shows_the_smallest_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], keys: list[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    write("a.yml", GOOD)

    done = fedbadges(*arguments)

    # Nagios reads what a check prints on standard output.
    said, other = (
        (done.stdout, done.stderr) if "status" in arguments else (done.stderr, done.stdout)
    )
    assert (done.exit_code, other) == (2, "")
    *_, before, line = said.splitlines()
    assert before == "There is none; the smallest is a file fedmsg.d/badges.py with this line:"
    config = ast.literal_eval(line.removeprefix("config = "))
    assert list(config) == ["endpoints", *keys]


def test_the_smallest_configuration_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    line = fedbadges("explain", "--id", "1").stderr.splitlines()[-1]
    Path("rules").mkdir()
    Path("fedmsg.d").mkdir()
    Path("fedmsg.d/badges.py").write_text(line.replace("/usr/share/badges/rules", "rules"))

    assert Deployment(None, {}).settings.rules_directory == Path("rules")


def test_configuration_that_is_broken_has_no_example(tmp_path: Path) -> None:
    Path("fedmsg.d").mkdir()
    Path("fedmsg.d/badges.py").write_text("config = {}")

    assert "the smallest" not in fedbadges("check", "--history", write("a.yml", GOOD)).stderr
