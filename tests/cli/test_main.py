"""The command ``fedbadges`` itself: help, completion in shells, and the cost of its start."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from support.command import fedbadges

from fedbadges.cli.main import main

COMMAND = Path(sys.executable).with_name("fedbadges")


@pytest.mark.parametrize("name", [None, *main.commands])
def test_every_command_has_help_with_examples(name: str | None) -> None:
    done = fedbadges(*([name] if name else []), "--help")

    assert done.exit_code == 0
    assert "Examples:\n" in done.stdout


def test_version_is_that_of_the_package() -> None:
    assert fedbadges("--version").stdout == f"fedbadges, version {version('fedbadges')}\n"


def test_unknown_command_exits_with_2() -> None:
    done = fedbadges("chekc")

    assert (done.exit_code, done.stdout) == (2, "")


def test_ctrl_c_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main.commands["preview"], "callback", pressed)
    done = fedbadges("preview", "scribe")

    assert (done.exit_code, done.stdout, done.stderr) == (2, "", "Stopped\n")


def test_error_of_a_command_cannot_control_the_terminal(tmp_path: Path) -> None:
    directory = tmp_path / "a\n\x1b[2J"
    directory.mkdir()
    done = fedbadges("test", str(directory))

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(rf"{tmp_path}/a\n\x1b[2J: ")
    assert len(done.stderr.splitlines()) == 1


def test_full_disk_is_reported_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert done.returncode == 2
    assert done.stderr == "Not all could be written: No space left on device\n"


def test_names_outside_the_encoding_of_the_terminal_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "日本.yml").touch()
    done = subprocess.run(
        [COMMAND, "check", "."],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.split(":")[0]) == (1, r"\u65e5\u672c.yml")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_works_in_shells(shell: str) -> None:
    words = {"COMP_WORDS": "fedbadges che", "COMP_CWORD": "1"}
    if shell == "fish":
        words["COMP_CWORD"] = "che"
    done = subprocess.run(
        [COMMAND],
        env=os.environ | words | {"_FEDBADGES_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "check" in done.stdout
    assert "schema" not in done.stdout


def test_main_imports_no_slow_libraries() -> None:
    script = "import sys, fedbadges.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert {"sqlalchemy", "fedmsg", "rich"}.isdisjoint(done.stdout.split())


def test_schema_is_json_on_standard_output() -> None:
    done = fedbadges("schema")

    assert (done.exit_code, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)["$defs"]) >= {"trigger", "criteria-fasjson", "group"}
