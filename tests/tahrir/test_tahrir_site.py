"""tahrir itself, from PyPI, shows what the daemon has written.

With FEDBADGES_PICTURES=docs/pictures it makes the pictures of the documentation anew.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_settings
from support.bus import fedmsg_body
from support.chromium import CHROMIUM, chromium
from support.databases import Databases, sqlite_databases, store_message
from support.publisher import FakePublisher
from support.rules import METADATA, write_rules
from support.waiting import TIMEOUT, eventually
from tahrir_api.model import Assertion, Person

from fedbadges.databases.connections import engine
from fedbadges.service.daemon import Daemon

pytestmark = pytest.mark.slow

PACKAGES = ("tahrir==2.1.0", "tahrir-api==1.5.6")
TAHRIR_SITE = Path(__file__).parents[1] / "support/tahrir_site.py"

RULE = """
tags: [content]
trigger: {{topic: wiki.article.edit}}
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(msg.user)s"]}}
  operation: count
  condition: {{greater than or equal to: {needed}}}
recipient: "%(msg.user)s"
"""
LEVELS = {"I": 1, "II": 3, "III": 10}
EDITS = {"alice": 7, "bob": 3, "carol": 1}

MEDAL = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="256" height="256">
<circle cx="50" cy="50" r="46" fill="{fill}" stroke="#3c3c3c" stroke-width="4"/>
<text x="50" y="64" font-size="38" font-family="serif" text-anchor="middle">{text}</text></svg>"""

GET_VALUE = """
import sys
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from tahrir_api.dbapi import TahrirDatabase
with Session(create_engine(sys.argv[1])) as session:
    print(TahrirDatabase(session=session).get_current_value("scribe-iii", "alice@example.org"))
"""


@dataclass
class Site:
    """tahrir's web site, and the database that it reads."""

    python: Path
    databases: Databases
    address: str

    def get(self, path: str) -> str:
        """Return a page, which must be one."""
        with urllib.request.urlopen(self.address + path, timeout=TIMEOUT) as answer:
            return answer.read().decode()

    def is_up(self) -> bool:
        try:
            return bool(self.get("/about"))
        except urllib.error.URLError:
            return False


@pytest.fixture(scope="module")
def python(pypi: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install tahrir into an environment of its own, and return its Python."""
    path = tmp_path_factory.mktemp("tahrir") / "venv"
    subprocess.run([sys.executable, "-m", "venv", path], check=True)
    python = path / "bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


@pytest.fixture(scope="module")
def site(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Let a daemon award badges, and serve them."""
    directory = tmp_path_factory.mktemp("site")
    databases = sqlite_databases(directory)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Site(python, databases, f"http://127.0.0.1:{port}")
    images = directory / "images"
    images.mkdir()
    (images / "avatar.svg").write_text(MEDAL.format(fill="#dddddd", text=""))
    rules = {}
    for level, needed in LEVELS.items():
        (images / f"{needed}.svg").write_text(MEDAL.format(fill="#f2c14e", text=level))
        metadata = METADATA.format(
            name=f"Scribe {level}",
            description=f"You edited the wiki {needed} times",
            image_url=f"{made.address}/pngs/{needed}.svg",
        )
        rules[f"scribe-{level}"] = metadata + RULE.format(needed=needed)
    write_rules(directory / "rules", rules)
    award(databases, directory / "rules")
    # Isolated from the modules beside the script.
    command = [python, "-I", TAHRIR_SITE, databases.tahrir_url, images, str(port)]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen([*map(str, command)], stdout=log, stderr=log, cwd=directory)
    try:
        eventually(lambda: made.is_up() or process.poll() is not None, "tahrir to answer requests")
        assert process.poll() is None, (directory / "log").read_text()
        yield made
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def award(databases: Databases, rules: Path) -> None:
    """Run a daemon that hears who edits the wiki."""
    settings = make_settings(databases, rules, reload=False, progress=True)
    daemon = Daemon(settings, FakePublisher(), redelivered=True)
    daemon.start()
    assert daemon.started.result(TIMEOUT) is None
    for name, count in EDITS.items():
        for _ in range(count):
            message = fedmsg_body("wiki.article.edit", {"user": name}, name)
            store_message(databases, message, [name])
            daemon.handle_acknowledged(message)
    daemon.stop()


def assertions(site: Site) -> list[Any]:
    joined = sa.select(Assertion.__table__, Person.email).join(
        Person, Person.id == Assertion.person_id
    )
    with engine(site.databases.tahrir_url).connect() as connection:
        return list(connection.execute(joined))


def test_page_of_a_badge_has_its_texts_and_who_holds_it(site: Site) -> None:
    page = site.get("/badge/scribe-ii")

    for text in ("Scribe II", "You edited the wiki 3 times", "/user/alice", "/user/bob", "content"):
        assert text in page
    assert "/user/carol" not in page


def test_page_of_a_person_has_their_badges(site: Site) -> None:
    page = site.get("/user/alice")

    assert "/badge/scribe-i" in page
    assert "/badge/scribe-ii" in page
    assert "/badge/scribe-iii" not in page


def test_leaderboard_has_the_ranks_that_the_daemon_set(site: Site) -> None:
    page = site.get("/leaderboard")

    assert page.index("/user/alice") < page.index("/user/carol")
    found = {
        each["nickname"]: each for each in json.loads(site.get("/leaderboard/json"))["leaderboard"]
    }
    assert {name: (each["badges"], each["rank"]) for name, each in found.items()} == {
        "alice": (2, 1),
        "bob": (2, 1),
        "carol": (1, 3),
    }


def test_each_assertion_can_be_verified_as_an_open_badge(site: Site) -> None:
    found = assertions(site)
    assert len(found) == 5

    for each in found:
        shown = json.loads(site.get(f"/assertions/{each.badge_id}/{each.recipient}"))
        expected = hashlib.sha256((each.email + shown["salt"]).encode()).hexdigest()
        assert shown["recipient"] == f"sha256${expected}"
        assert shown["badge"]["issuer"]["name"] == "Example Badges"


def test_tahrir_api_finds_how_far_somebody_is(site: Site) -> None:
    command = [site.python, "-c", GET_VALUE, site.databases.tahrir_url]

    assert subprocess.check_output(command, text=True) == "7\n"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_pages_are_shown_without_errors(site: Site, tmp_path: Path) -> None:
    pictures = Path(os.environ.get("FEDBADGES_PICTURES", tmp_path))
    pages = {
        "badge": "/badge/scribe-ii",
        "person": "/user/alice",
        "leaderboard": "/leaderboard",
    }
    with chromium(tmp_path / "profile") as browser:
        for name, path in pages.items():
            browser.show(site.address + path, 1024)
            (answer,) = [
                each["response"]["status"]
                for each in browser.happened("Network.responseReceived")
                if each["type"] == "Document"
            ]
            assert answer == 200, name
            browser.picture(pictures / f"tahrir-{name}.png")
    assert all((pictures / f"tahrir-{name}.png").stat().st_size > 5000 for name in pages)
