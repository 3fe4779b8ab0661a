"""``fedbadges backfill --progress``: how far everybody is, as the daemon would have written it."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_config, make_settings
from support.command import fedbadges
from support.databases import Databases
from support.histories import PastMessage, Storage
from support.rule_text import complete
from support.tahrir import award
from tahrir_api.model import CurrentValue, Person

from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.databases.connections import engine
from fedbadges.rules.loader import load_directory
from fedbadges.tahrir.database import Tahrir

START = datetime(2014, 1, 1, 12, 30)
EDITS = ["alice", "bob", "alice", "carol", "alice", "bob", "alice", "bob"]

RULE = """\
name: Scribe {0}
trigger: {{topic: wiki.edit}}
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(recipient)s"]{1}}}
  operation: count
  condition: {{greater than or equal to: {0}}}
recipient: "%(msg.user)s"
"""


@pytest.fixture
def settings(database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    rules = tmp_path / "rules"
    rules.mkdir()
    for count, window in ((4, ""), (5, ', start: "2 days ago"'), (9, "")):
        (rules / f"scribe-{count}.yml").write_text(complete(RULE.format(count, window)))
    made = make_settings(database, rules, keep_counts=False)
    Storage(made).store(
        PastMessage(n, START + timedelta(days=n - 1), "wiki.edit", {"user": name}, (name,))
        for n, name in enumerate(EDITS, 1)
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fedmsg.d").mkdir()
    config = make_config(database, rules) | {"endpoints": {}}
    (tmp_path / "fedmsg.d/badges.py").write_text(f"config = {config!r}\n")
    with engine(made.tahrir_url).begin() as connection:
        people = [
            {"email": f"{name}@example.org", "nickname": name, "opt_out": name == "carol"}
            for name in ("alice", "bob", "carol")
        ]
        connection.execute(sa.insert(Person.__table__), people)
    return made


def values(settings: Settings) -> dict[tuple[str, str], tuple[int, Any]]:
    joined = sa.select(Person.nickname, CurrentValue.__table__).join(
        Person, Person.id == CurrentValue.person_id
    )
    with engine(settings.tahrir_url).connect() as connection:
        return {
            (row.nickname, row.badge_id): (row.value, row.last_update)
            for row in connection.execute(joined)
        }


def publish(settings: Settings) -> Tahrir:
    tahrir = Tahrir(settings)
    loaded = load_directory(settings.rules_directory, load_backends(settings))
    tahrir.publish_badges(rule.badge for rule in loaded.rules)
    return tahrir


def day(number: int) -> datetime:
    return START + timedelta(days=number - 1)


def test_everybody_has_values_as_of_their_latest_message(settings: Settings) -> None:
    publish(settings)

    done = fedbadges("backfill", "--progress")

    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "6 values of 2 people, 6 written"
    assert values(settings) == {
        ("alice", "scribe-4"): (4, day(7)),
        ("alice", "scribe-5"): (2, day(7)),
        ("alice", "scribe-9"): (4, day(7)),
        ("bob", "scribe-4"): (3, day(8)),
        ("bob", "scribe-5"): (2, day(8)),
        ("bob", "scribe-9"): (3, day(8)),
    }
    again = fedbadges("backfill", "--progress", "--format", "json", "scribe-9")
    assert json.loads(again.stdout) == {"values": 2, "people": 2, "written": 0}


def test_holders_need_no_value_and_nothing_is_awarded(settings: Settings) -> None:
    award(publish(settings), "scribe-9", "bob")

    done = fedbadges("backfill", "--progress", "scribe-9")

    assert done.exit_code == 0, done.stderr
    assert values(settings) == {("alice", "scribe-9"): (4, day(7))}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "Missing argument 'RULE…'"), (("--progress", "--award"), "awards nothing")],
)
def test_command_says_what_it_cannot_do(
    settings: Settings, arguments: tuple[str, ...], said: str
) -> None:
    done = fedbadges("backfill", *arguments)

    assert done.exit_code == 2
    assert said in done.stderr
