"""The commands that pages of docs show, run to compare what they print."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builders import make_config, make_settings
from support.bus import Bus
from support.command import fedbadges
from support.databases import sqlite_databases, tahrir
from support.for_authors import deployment_of_authors
from support.monitoring import REPORT, hub_report, monitored

from fedbadges.lint.findings import CODES
from fedbadges.rules.rule import Badge
from fedbadges.tahrir.database import Tahrir

ROOT = Path(__file__).parents[2]
FOR_AUTHORS = ROOT / "docs/rule-authors.rst"
FOR_OPERATORS = ROOT / "docs/operations.rst"
SPEAKERS = """\
user,when,link
alice,2025-11-20,https://conference.example.org/talks/7
bob,2025-11-21T14:30+01:00,
carol,,
"""
SPEAKER = Badge("speaker", "Speaker", "Gave a talk", "speaker.png", "ideas/3", "alice")


@pytest.fixture
def authors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a directory with rules, and a deployment with old messages."""
    monkeypatch.chdir(deployment_of_authors(tmp_path / "authors"))


@pytest.fixture
def operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a deployment with the badge Speaker, a few people, a bus and a healthy daemon."""
    databases = sqlite_databases(tmp_path)
    Tahrir(make_settings(databases, tmp_path)).publish_badges([SPEAKER])
    with tahrir(databases) as database:
        for name in ("alice", "bob", "carol"):
            database.add_person(f"{name}@example.org", nickname=name)
        database.session.commit()
    (tmp_path / "speakers.csv").write_text(SPEAKERS)
    bus = Bus()
    with monitored(tmp_path, hub_report(REPORT)) as endpoint:
        others = {"endpoints": bus.endpoints, "moksha.monitoring.socket": endpoint}
        (tmp_path / "fedmsg.d").mkdir()
        config = make_config(databases, tmp_path) | others
        (tmp_path / "fedmsg.d/all.py").write_text(f"config = {config!r}\n")
        monkeypatch.chdir(tmp_path)
        yield
    bus.close()


@pytest.fixture(autouse=True)
def _reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the environment of a reader of the page, who is root."""
    for name in ("SUDO_USER", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


def run(command: str) -> str:
    """Return what a command prints, to either side, when a reader of the page types it.

    fedbadges itself is called within the process, since starting it takes seconds.
    """
    called = re.fullmatch(r"fedbadges (.*?)( ?> ?(\S+))?(; echo \$\?)?", command)
    if called is None:
        return subprocess.run(
            ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ).stdout
    done = fedbadges(*shlex.split(called[1]))
    if called[3]:
        Path(called[3]).write_text(done.stdout)
    printed = done.stderr if called[3] else done.output
    return f"{printed}{done.exit_code}\n" if called[4] else printed


def as_shown(block: str, prompt: str = "$ ") -> str:
    """Return a block with the commands that stand in it, and what they really print."""
    commands = [line for line in block.splitlines() if line.startswith(prompt)]
    return "".join(f"{command}\n{run(command.removeprefix(prompt))}" for command in commands)


def blocks(text: str) -> list[str]:
    """Return the blocks of a page that show a terminal."""
    found = re.finditer(
        r"^\.\. code-block:: console\n\n((?:    .*\n|\n)+)", text, flags=re.MULTILINE
    )
    return [re.sub("^    ", "", each[1], flags=re.MULTILINE).rstrip() for each in found]


def section(page: Path, title: str) -> str:
    """Return what stands below a title."""
    below = page.read_text().split(f"\n{title}\n{'-' * len(title)}\n")[1]
    return re.split(r"\n.+\n-{3,}\n", below)[0]


@pytest.mark.usefixtures("authors")
def test_commands_in_rule_authors_print_what_it_shows() -> None:
    shown = blocks(FOR_AUTHORS.read_text())
    assert len(shown) > 5

    for block in shown:
        assert as_shown(block).rstrip() == block


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize("title", ["Show the status", "Award by hand", "Award to many", "Revoke"])
def test_commands_in_operations_print_what_it_shows(title: str) -> None:
    if title == "Revoke":
        assert run('fedbadges award alice speaker --reason "spoke"').endswith("has speaker\n")
    ours = [b for b in blocks(section(FOR_OPERATORS, title)) if "# fedbadges " in b]
    assert ours

    for block in ours:
        assert as_shown(block, "# ").rstrip() == block


def test_rule_authors_explains_every_finding() -> None:
    explained = re.findall(r"^``([a-z-]+)``$", FOR_AUTHORS.read_text(), re.MULTILINE)

    assert explained == list(CODES)
