"""Every command that docs/rule-authors.rst shows is run, and prints what the page says."""

import datetime
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.bus import fedmsg_body
from support.databases import Databases, create_schemas, store_message

from fedbadges.cli.checks.findings import CODES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/rule-authors.rst"
EDITED = datetime.datetime(2014, 10, 3, tzinfo=datetime.timezone.utc)
EDITORS = {"alice": 124, "bob": 103, "carol": 61, "dave": 27, "erin": 8, "frank": 6, "grace": 3}
EDITORS |= {"heidi": 2, "ivan": 1, "judy": 1, "mallory": 1, "trent": 1}
"""How often each edited the wiki, every third day up to the same one."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where somebody tries the commands: rules, and a deployment with messages of long ago."""
    directory = shutil.copytree(ROOT / "docs/examples/authors", tmp_path / "authors")
    databases = Databases(
        "sqlite", f"sqlite:///{directory}/tahrir.db", f"sqlite:///{directory}/datanommer.db"
    )
    create_schemas(databases)
    for name, edits in EDITORS.items():
        for number in range(edits):
            sent = EDITED - datetime.timedelta(days=3 * number)
            message = fedmsg_body("", {"user": name, "minor": 0})
            message |= {
                "topic": "org.fedoraproject.prod.wiki.article.edit",
                "timestamp": sent.timestamp(),
                "msg_id": f"{sent:%Y}-{name}-{number}",
            }
            store_message(databases, message, [name])
    return directory


def run(command: str, directory: Path) -> str:
    """Returns what a command prints, to either side, when a reader of the page types it."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=os.environ
        | {"HOME": str(directory), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def as_shown(block: str, directory: Path) -> str:
    """Returns a block with the commands that stand in it, and what they really print."""
    commands = [line for line in block.splitlines() if line.startswith("$ ")]
    return "".join(f"{command}\n{run(command[2:], directory)}" for command in commands)


def blocks(text: str) -> list[re.Match[str]]:
    """Returns the blocks of a page that show a terminal."""
    return list(
        re.finditer(r"^\.\. code-block:: console\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    )


def test_what_the_page_shows_is_what_happens(place: Path) -> None:
    shown = [re.sub("^    ", "", each[1], flags=re.MULTILINE) for each in blocks(PAGE.read_text())]
    assert len(shown) > 5

    for block in shown:
        assert as_shown(block, place).rstrip() == block.rstrip()


def test_the_page_explains_every_code() -> None:
    explained = re.findall(r"^``([a-z-]+)``$", PAGE.read_text(), re.MULTILINE)

    assert explained == list(CODES)
