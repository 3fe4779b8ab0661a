"""A configuration of fedbadges 2.x: what becomes of each key, and where a mistake in it is."""

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from fedbadges.config.settings import GroupBadge, Settings, read_settings, toml_configuration
from fedbadges.config.toml_files import read_toml
from fedbadges.config.version_2 import TRANSLATION
from fedbadges.errors import SettingsError

WHOLE = """
callback = "fedbadges.consumer:FedoraBadgesConsumer"

[consumer_config]
badges_repo = "REPO"
database_uri = "sqlite:///tahrir.db"
datanommer_db_uri = "sqlite:///datanommer.db"
email_domain = "Example.org"
datagrepper_url = "https://datagrepper.example.org/"
distgit_hostname = "src.example.org"
id_provider_hostname = "id.example.org"
skip_users = ["Bodhi", "koji"]

[consumer_config.cache]
backend = "dogpile.cache.dbm"
expiration_time = 300
arguments.filename = "REPO/cache.dbm"

[consumer_config.badge_issuer]
issuer_id = "Example"
issuer_origin = "https://badges.example.org"
issuer_name = "Example Badges"
issuer_url = "https://example.org"
issuer_email = "badges@example.org"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    return tmp_path / "config.toml"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client of FASJSON is installed."""
    monkeypatch.setitem(sys.modules, "fasjson_client", types.ModuleType("fasjson_client"))


def read(file: Path, text: str) -> tuple[Settings, list[str]]:
    """Returns the settings, and the warnings without the directory of the file."""
    file.write_text(text.replace("REPO", str(file.parent)))
    settings, warnings = read_settings(toml_configuration(read_toml(file), file))
    return settings, [line.removeprefix(f"{file.parent}/") for line in warnings]


def mistakes(file: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read(file, text)
    return [line.removeprefix(f"{file.parent}/") for line in caught.value.lines]


def line_of(file: Path, begin: str) -> int:
    return next(
        n for n, line in enumerate(file.read_text().splitlines(), 1) if line.startswith(begin)
    )


def test_every_key_has_one_of_ours(file: Path) -> None:
    settings, _ = read(file, WHOLE)

    assert settings.rules_directory == file.parent / "rules"
    assert str(settings.tahrir_url) == "sqlite:///tahrir.db"
    assert str(settings.history_url) == "sqlite:///datanommer.db"
    assert settings.email_domain == "example.org"
    assert settings.datagrepper_url == "https://datagrepper.example.org"
    assert settings.distgit_hostname == "src.example.org"
    assert settings.id_provider_hostname == "id.example.org"
    assert settings.banned_usernames == {"bodhi", "koji"}
    assert settings.cache == ("dogpile.cache.dbm", {"filename": f"{file.parent}/cache.dbm"})
    assert settings.issuer.name == "Example Badges"
    assert settings.issuer.contact == "badges@example.org"
    assert settings.accounts is None


def test_what_each_key_was_read_as_is_known(file: Path) -> None:
    settings, _ = read(file, WHOLE)

    assert settings.fedmsg[TRANSLATION].read == {
        "badges_repo": "badges.yaml.directory",
        "database_uri": "badges_global.database_uri",
        "badge_issuer": "badges_global.badge_issuer",
        "datanommer_db_uri": "datanommer.sqlalchemy.url",
        "datagrepper_url": "fedbadges.datagrepper_url",
        "email_domain": "badges.email_domain",
        "id_provider_hostname": "badges.id_provider_hostname",
        "distgit_hostname": "badges.distgit_hostname",
        "skip_users": "badges.banned_usernames",
        "cache": "badges.cache",
    }


@pytest.mark.parametrize(
    ("more", "dialect"),
    [("", "fedbadges-2"), ('badges.dialect = "fedbadges-1"\n', "fedbadges-1")],
)
def test_rules_are_in_the_dialect_of_2_x_unless_something_else_is_said(
    file: Path, more: str, dialect: str
) -> None:
    settings, _ = read(file, WHOLE.replace("[consumer_config]\n", f"[consumer_config]\n{more}"))

    assert settings.dialect == dialect


def test_keys_of_both_kinds_stand_beside_each_other(file: Path) -> None:
    more = '\n[consumer_config.badges]\nstate_directory = "REPO/state"\nreload = false\n'

    settings, _ = read(file, WHOLE + more)

    assert settings.state_directory == file.parent / "state"
    assert settings.reload is False


@pytest.mark.parametrize("backend", ["memory", "memory_pickle", "null"])
def test_cache_in_memory_is_that_of_the_daemon(file: Path, backend: str) -> None:
    settings, _ = read(file, WHOLE.replace('cache.dbm"\nexp', f'cache.{backend}"\nexp'))

    assert settings.cache is None


@pytest.mark.usefixtures("client")
def test_address_of_fasjson_is_enough_to_ask_it(file: Path) -> None:
    text = WHOLE.replace(
        "skip_users", 'fasjson_base_url = "https://fasjson.example.org"\nskip_users'
    )

    settings, _ = read(file, text)

    assert settings.fasjson_url == "https://fasjson.example.org"
    assert settings.accounts == "fasjson"


GROUPS = """
[[consumer_config.group_badges]]
group = "packager"
badge = "packager"

[[consumer_config.group_badges]]
group = "packager"
badge = "sponsor"
memberships = "sponsors"
"""


@pytest.mark.usefixtures("client")
def test_badges_of_groups_are_read(file: Path) -> None:
    text = WHOLE.replace(
        "skip_users", 'fasjson_base_url = "https://fasjson.example.org"\nskip_users'
    )

    settings, _ = read(file, text + GROUPS)

    assert settings.group_badges == (
        GroupBadge("packager", "packager", "members"),
        GroupBadge("packager", "sponsor", "sponsors"),
    )


# Mistakes


@pytest.mark.parametrize(
    ("old", "new", "begin", "mistake"),
    [
        (
            'badges_repo = "REPO"',
            'badges_repo = "/nonexistent"',
            "badges_repo",
            "malformed key 'badges_repo'; expected a clone of the badges' repository, with the "
            "rules in its folder 'rules' (no such directory)",
        ),
        (
            'badges_repo = "REPO"',
            "badges_repo = 1",
            "badges_repo",
            "malformed key 'badges_repo'; expected a clone of the badges' repository, with the "
            "rules in its folder 'rules'",
        ),
        (
            '"sqlite:///tahrir.db"',
            "true",
            "database_uri",
            "malformed key 'database_uri'; expected a database URL, such as "
            "'postgresql://user:password@host/name'",
        ),
        (
            'skip_users = ["Bodhi", "koji"]',
            'skip_users = "bodhi"',
            "skip_users",
            "malformed key 'skip_users'; expected a list of names",
        ),
        (
            'backend = "dogpile.cache.dbm"',
            "backend = 5",
            "[consumer_config.cache]",
            "malformed key 'cache'; expected a mapping with the 'backend' of dogpile.cache and its "
            "'arguments', or None",
        ),
        (
            'issuer_name = "Example Badges"',
            "issuer_name = 1",
            "issuer_name",
            "malformed key 'issuer_name' in 'badge_issuer'; expected text of at most 128 "
            "characters",
        ),
        (
            'issuer_name = "Example Badges"\n',
            "",
            "[consumer_config.badge_issuer]",
            "missing key 'issuer_name' in 'badge_issuer'; expected text of at most 128 characters",
        ),
        (
            "skip_users",
            'badges.email_domain = "example.org"\nskip_users',
            "email_domain",
            "'email_domain' is the same as 'badges.email_domain', which is set as well; leave one "
            "of them out",
        ),
    ],
)
def test_mistake_has_its_place_and_the_name_of_2_x(
    file: Path, old: str, new: str, begin: str, mistake: str
) -> None:
    assert old in WHOLE

    (line,) = mistakes(file, WHOLE.replace(old, new))

    assert line == f"config.toml:{line_of(file, begin)}:1: {mistake}"


def test_mistake_is_not_located_at_a_key_of_ours_that_ends_alike(file: Path) -> None:
    ours = "\n[consumer_config.badges.fasjson]\ncache = 60\n"
    text = WHOLE.replace('backend = "dogpile.cache.dbm"', "backend = 5") + ours

    (line,) = mistakes(file, text)

    assert line.startswith(f"config.toml:{line_of(file, '[consumer_config.cache]')}:1: malformed")


def test_address_of_fasjson_needs_its_client(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fasjson_client", None)
    text = WHOLE.replace("skip_users", 'fasjson_base_url = "https://f.example.org"\nskip_users')

    (line,) = mistakes(file, text)

    assert line == (
        f"config.toml:{line_of(file, 'fasjson_base_url')}:1: malformed key 'fasjson_base_url'; "
        "expected the address of FASJSON, and its client installed (fasjson-client is not "
        "installed; pip install '.[fasjson]' in a clone of fedbadges)"
    )


def test_missing_key_is_named_as_in_2_x(file: Path) -> None:
    lines = mistakes(file, '[consumer_config]\nemail_domain = "example.org"\n')

    assert [line.split("; expected")[0].removeprefix("config.toml: ") for line in lines] == [
        "missing key 'badge_issuer'",
        "missing key 'badges_repo'",
        "missing key 'database_uri'",
        "missing key 'datanommer_db_uri'",
    ]


def test_mistake_in_a_badge_of_a_group_is_located_in_its_table(file: Path) -> None:
    text = GROUPS.replace('"sponsors"', '"owners"').replace('badge = "packager"\n', "")

    lines = mistakes(file, WHOLE + text)

    first = line_of(file, "[[consumer_config.group_badges]]")
    third = line_of(file, "memberships")
    assert (
        f"config.toml:{first}:1: missing key 'badge' in 'group_badges'; expected the id of a badge"
        in lines
    )
    assert (
        f"config.toml:{third}:1: malformed key 'memberships' in 'group_badges'; expected 'members' "
        "or 'sponsors'"
    ) in lines


def test_badges_of_groups_need_the_address_of_fasjson(file: Path) -> None:
    (line,) = mistakes(file, WHOLE + GROUPS)

    assert "missing key 'fasjson_base_url'; expected the address of FASJSON" in line


def test_what_means_nothing_here_is_named_with_the_reason(file: Path) -> None:
    _, warnings = read(file, WHOLE)

    assert sorted(warnings) == [
        f"config.toml:{line_of(file, 'expiration_time')}:1: 'expiration_time' means nothing here: "
        "counts are kept up to date, so they need not expire",
        f"config.toml:{line_of(file, 'issuer_id')}:1: 'issuer_id' means nothing here: "
        "tahrir has no place for it",
    ]


def test_unknown_key_is_named_with_the_closest(file: Path) -> None:
    text = WHOLE.replace("skip_users", "consume_delay = 3\nmail_domain = 'x'\nskip_users")

    _, warnings = read(file, text)

    assert [line.partition(": ")[2] for line in warnings if "unknown" in line] == [
        "unknown key 'consume_delay'; did you mean 'badges.consume_delay'?",
        "unknown key 'mail_domain'; did you mean 'email_domain'?",
    ]


def test_configuration_without_a_key_of_2_x_is_as_before(file: Path) -> None:
    table: dict[str, Any] = {"badges": {"reload": True}, "something": 1}

    config = toml_configuration(table, file)

    assert TRANSLATION not in config
    assert config["badges.reload"] is True
