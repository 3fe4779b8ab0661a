"""Completion: which badges and rule files a shell offers."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from support.command import GOOD
from support.rule_text import complete

from fedbadges.cli.main import main

COMMAND = Path(sys.executable).with_name("fedbadges")
SERIES = """\
series: Scribe
badges:
- {name: Scribe One, threshold: 1}
- {name: Scribe Two, threshold: 2}
"""


@pytest.fixture(autouse=True)
def _deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a directory with rules, which its configuration names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("rules/git/gardener.yml", "rules/git/wanderer.yaml", "rules/.hidden.yml"):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(complete(f"{GOOD}name: The {path.stem.title()}\n"))
    Path("rules/scribe.yml").write_text(SERIES)
    Path("rules/broken.yml").write_text("name: [\n")
    Path("rules/README").write_text("")
    Path("fedmsg.d").mkdir()
    config = {"endpoints": {}, "badges.yaml.directory": "rules"}
    Path("fedmsg.d/badges.py").write_text(f"config = {config!r}\n")


def offered(line: str) -> list[str]:
    """Return what a shell offers for the last word of a command line."""
    _, *words = line.split(" ")
    completion = ShellComplete(main, {}, "fedbadges", "_FEDBADGES_COMPLETE")
    return [item.value for item in completion.get_completions(words[:-1], words[-1])]


FILES = [
    "rules/broken.yml",
    "rules/scribe.yml",
    "rules/git/gardener.yml",
    "rules/git/wanderer.yaml",
]
BADGES = ["scribe-one", "scribe-two", "the-gardener", "the-wanderer"]


@pytest.mark.parametrize(
    "command", ["preview --limit 3", "backfill scribe-one", "explain --badge", "show"]
)
def test_rules_are_completed_by_badge_and_by_file(command: str) -> None:
    assert offered(f"fedbadges {command} ") == [*BADGES, *FILES]
    assert offered(f"fedbadges {command} the-g") == ["the-gardener"]
    assert offered(f"fedbadges {command} ru") == FILES
    assert offered(f"fedbadges {command} rules/git/w") == ["rules/git/wanderer.yaml"]
    assert offered(f"fedbadges {command} ./rules/git/g") == ["./rules/git/gardener.yml"]
    assert offered(f"fedbadges {command} {Path.cwd()}/rules/s") == [
        f"{Path.cwd()}/rules/scribe.yml"
    ]
    assert offered(f"fedbadges {command} nowhere/") == []


@pytest.mark.parametrize("command", ["award alice", "revoke alice"])
def test_badges_are_completed_by_id(command: str) -> None:
    assert offered(f"fedbadges {command} scribe") == ["scribe-one", "scribe-two"]
    assert offered(f"fedbadges {command} ru") == []


def test_rules_of_another_directory_are_offered_if_it_is_named() -> None:
    assert offered("fedbadges preview --rules rules/git t") == ["the-gardener", "the-wanderer"]


@pytest.mark.parametrize("config", ["config = 1 +", "config = {'endpoints': {}}", None])
def test_without_a_configuration_files_are_offered(config: str | None) -> None:
    if config is None:
        Path("fedmsg.d/badges.py").unlink()
    else:
        Path("fedmsg.d/badges.py").write_text(config)

    assert offered("fedbadges preview ") == FILES


def test_bash_completes_the_line_and_shows_nothing_else() -> None:
    """The script is what ``fedbadges`` itself gives to bash."""
    script = """
    eval "$(_FEDBADGES_COMPLETE=bash_source fedbadges)"
    COMP_WORDS=(fedbadges preview the-) COMP_CWORD=2
    _fedbadges_completion fedbadges
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PATH": f"{COMMAND.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == ["the-gardener", "the-wanderer"], shlex.quote(done.stderr)
    assert done.stderr == ""
