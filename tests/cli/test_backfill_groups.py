"""``fedbadges backfill --groups``: badges for those who are in a group of FASJSON."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builders import make_settings, wipe
from support.command import fedbadges
from support.databases import Databases
from support.fasjson import Fasjson, User
from support.histories import awarded
from support.rules import counting_rule, rule
from support.tahrir import revoke
from support.web import Answer

from fedbadges.config.settings import Settings
from fedbadges.tahrir.database import Tahrir

pytest.importorskip("fasjson_client", reason="make test-slow installs the extra fasjson")

pytestmark = pytest.mark.slow

CONFIG = """
[consumer_config]
badges_repo = "REPO"
database_uri = "TAHRIR"
datanommer_db_uri = "DATANOMMER"
email_domain = "example.org"
fasjson_base_url = "FASJSON"
skip_users = ["robot"]
badges.fasjson.auth = false

[consumer_config.badge_issuer]
issuer_origin = "https://badges.example.org"
issuer_name = "Example Badges"
issuer_org = "https://example.org"
issuer_contact = "badges@example.org"

[[consumer_config.group_badges]]
group = "packager"
badge = "packager"

[[consumer_config.group_badges]]
group = "packager"
badge = "sponsor"
memberships = "sponsors"
"""


@pytest.fixture
def fasjson() -> Iterator[Fasjson]:
    users = {
        "alice": User(groups=("packager",), sponsors=("packager",)),
        "Bob": User(groups=("packager",)),
        "robot": User(groups=("packager",), sponsors=("packager",)),
        "carol": User(groups=("docs",)),
    }
    service = Fasjson(users, {"packager", "docs"})
    yield service
    service.server.stop()


@pytest.fixture
def settings(shared_database: Databases, tmp_path: Path) -> Settings:
    """A deployment whose rules can earn nobody anything."""
    wipe(shared_database)
    rules = tmp_path / "rules"
    rules.mkdir()
    for name in ("Packager", "Sponsor"):
        text = counting_rule(name, "nothing.happens", 1)
        (rules / f"{name.lower()}.yml").write_text(text)
    return make_settings(shared_database, rules)


@pytest.fixture
def file(settings: Settings, shared_database: Databases, fasjson: Fasjson, tmp_path: Path) -> Path:
    """Its configuration, as fedbadges 2.x has it."""
    made = tmp_path / "config.toml"
    text = CONFIG
    for old, new in {
        "REPO": str(tmp_path),
        "TAHRIR": shared_database.tahrir_url,
        "DATANOMMER": shared_database.datanommer_url,
        "FASJSON": fasjson.url,
    }.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    made.write_text(text)
    return made


GIVEN = {("packager", "alice"), ("packager", "bob"), ("sponsor", "alice")}


def pairs(settings: Settings) -> set[tuple[str, str]]:
    return {(badge, name) for badge, name, _ in awarded(settings)}


def test_members_and_sponsors_get_their_badges(settings: Settings, file: Path) -> None:
    done = fedbadges("backfill", "--groups", "--no-publish", "--config", file)

    assert done.exit_code == 0, done.output
    assert done.stderr == "3 badges awarded to 2 people\n"
    assert pairs(settings) == GIVEN
    assert [line.split()[:2] + line.split()[4:] for line in done.stdout.splitlines()[1:]] == [
        ["packager", "alice", "members", "of", "packager"],
        ["packager", "bob", "members", "of", "packager"],
        ["sponsor", "alice", "sponsors", "of", "packager"],
    ]


def test_dry_run_lists_the_same_and_writes_nothing(settings: Settings, file: Path) -> None:
    done = fedbadges("backfill", "--groups", "--dry-run", "--format", "json", "--config", file)

    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["awarded"] is False
    assert {(each["badge"], each["user"]) for each in found["awards"]} == GIVEN
    assert {(each["group"], each["memberships"]) for each in found["awards"]} == {
        ("packager", "members"),
        ("packager", "sponsors"),
    }
    assert pairs(settings) == set()


def test_what_follows_from_a_badge_of_a_group_is_given_with_it(
    settings: Settings, file: Path
) -> None:
    follows = rule("Both", "criteria: {tahrir: {holds: [packager, sponsor]}}\n")
    (file.parent / "rules/both.yml").write_text(follows)

    done = fedbadges("backfill", "--groups", "--no-publish", "--config", file)

    assert done.exit_code == 0, done.output
    assert pairs(settings) == {*GIVEN, ("both", "alice")}


def test_second_run_gives_only_what_is_new(
    settings: Settings, file: Path, fasjson: Fasjson
) -> None:
    fedbadges("backfill", "--groups", "--no-publish", "--config", file)
    fasjson.users["carol"] = User(groups=("docs", "packager"))
    again = fedbadges("backfill", "--groups", "--no-publish", "--config", file)

    assert again.stderr == "1 badge awarded to 1 person\n"
    assert pairs(settings) == {*GIVEN, ("packager", "carol")}


def test_who_left_a_group_keeps_the_badge(settings: Settings, file: Path, fasjson: Fasjson) -> None:
    fedbadges("backfill", "--groups", "--no-publish", "--config", file)
    fasjson.users["alice"] = User()
    fedbadges("backfill", "--groups", "--no-publish", "--config", file)

    assert pairs(settings) == GIVEN


def test_revoked_badge_stays_away_until_somebody_awards_it(settings: Settings, file: Path) -> None:
    fedbadges("backfill", "--groups", "--no-publish", "--config", file)
    revoke(Tahrir(settings), "sponsor", "alice")
    again = fedbadges("backfill", "--groups", "--no-publish", "--config", file)
    assert again.stderr == "0 badges awarded to 0 people\n"
    assert pairs(settings) == GIVEN - {("sponsor", "alice")}

    by_hand = ("award", "alice", "sponsor", "--reason", "r", "--no-publish", "--config", file)
    fedbadges(*by_hand)

    assert pairs(settings) == GIVEN


def test_badge_that_is_revoked_meanwhile_is_not_given_back(
    settings: Settings, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question who lost what, and the award."""
    fedbadges("backfill", "--groups", "--no-publish", "--config", file)
    allowing = Tahrir(settings).holdings([], [])
    revoke(Tahrir(settings), "sponsor", "alice")
    monkeypatch.setattr(Tahrir, "holdings", lambda *others: allowing)

    fedbadges("backfill", "--groups", "--no-publish", "--config", file)

    assert pairs(settings) == GIVEN - {("sponsor", "alice")}


@pytest.mark.sqlite
def test_group_that_does_not_exist_is_named_and_others_get_theirs(
    settings: Settings, file: Path
) -> None:
    file.write_text(
        file.read_text().replace('"packager"\nbadge = "sponsor"', '"x"\nbadge = "sponsor"')
    )
    number = file.read_text().splitlines().index('group = "x"') + 1

    done = fedbadges("backfill", "--groups", "--no-publish", "--config", file)

    assert done.exit_code == 1
    assert f"{file}:{number}:1: FASJSON has no group 'x'\n" in done.stderr
    assert pairs(settings) == {("packager", "alice"), ("packager", "bob")}


@pytest.mark.sqlite
def test_badge_that_nobody_knows_is_named_and_nothing_is_given(
    settings: Settings, file: Path
) -> None:
    file.write_text(file.read_text().replace('badge = "sponsor"', 'badge = "sponsors"'))
    number = file.read_text().splitlines().index('badge = "sponsors"') + 1

    done = fedbadges("backfill", "--groups", "--no-publish", "--config", file)

    assert done.exit_code == 2
    assert done.stderr == (
        f"{file}:{number}:1: tahrir has no badge 'sponsors' and no rule gives it; did you mean "
        "'sponsor'?\n"
    )
    assert pairs(settings) == set()


@pytest.mark.sqlite
def test_nothing_is_given_while_fasjson_is_away(
    settings: Settings, file: Path, fasjson: Fasjson
) -> None:
    fasjson.server.instead = Answer(503)

    done = fedbadges("backfill", "--groups", "--no-publish", "--config", file)

    assert done.exit_code == 2
    assert done.stderr.startswith(f"FASJSON at {fasjson.url}: ")
    assert pairs(settings) == set()


@pytest.mark.sqlite
def test_configuration_without_groups_is_a_mistake(file: Path) -> None:
    file.write_text(file.read_text().partition("[[")[0])

    done = fedbadges("backfill", "--groups", "--config", file)

    assert done.exit_code == 2
    assert done.stderr == "There are no badges of groups: 'badges.group_badges' is not set\n"


@pytest.mark.sqlite
@pytest.mark.parametrize("more", [("--progress",), ("packager",)])
def test_groups_go_with_neither_rules_nor_progress(file: Path, more: tuple[str, ...]) -> None:
    done = fedbadges("backfill", "--groups", *more, "--config", file)

    assert done.exit_code == 2
    assert "--groups takes neither RULE nor --progress." in done.stderr
