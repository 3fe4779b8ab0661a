"""fedora-messaging's configuration: the same keys in TOML, and where a mistake in it is."""

from pathlib import Path
from typing import Any

import pytest
from fedora_messaging.config import LazyConfig

from fedbadges.config.settings import KEYS, Settings, read_settings, toml_configuration
from fedbadges.config.toml_files import keys_of_toml, read_toml
from fedbadges.errors import SettingsError

TABLES = """
amqp_url = "amqp://"

[consumer_config]
datanommer.sqlalchemy.url = "sqlite:///datanommer.db"
"badges.consume_delay" = 7

[consumer_config.badges]
yaml.directory = "RULES"
banned_usernames = [
    "bodhi",  # a program
    "koji",
]

[consumer_config.badges.cache]
backend = "dogpile.cache.memory"

[consumer_config.badges_global]
database_uri = "sqlite:///tahrir.db"

[consumer_config.badges_global.badge_issuer]
issuer_origin = "https://badges.example.org"
issuer_name = "Example Badges"
issuer_org = "https://example.org"
issuer_contact = "badges@example.org"

[qos]
prefetch_count = 10
"""

#: The same, every key in one line.
DOTTED = """
[consumer_config]
datanommer.sqlalchemy.url = "sqlite:///datanommer.db"
badges.consume_delay = 7
badges.yaml.directory = "RULES"
badges.banned_usernames = ["bodhi", "koji"]
badges.cache = {backend = "dogpile.cache.memory"}
badges_global.database_uri = "sqlite:///tahrir.db"
badges_global.badge_issuer.issuer_origin = "https://badges.example.org"
badges_global.badge_issuer.issuer_name = "Example Badges"
badges_global.badge_issuer.issuer_org = "https://example.org"
badges_global.badge_issuer.issuer_contact = "badges@example.org"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def settings_of(file: Path, text: str) -> Settings:
    file.write_text(text.replace("RULES", str(file.parent)))
    settings, warnings = read_settings(toml_configuration(read_toml(file), file))
    assert warnings == ()
    return settings


def mistakes(file: Path, text: str) -> list[str]:
    """Returns the lines, without the directory of the file."""
    with pytest.raises(SettingsError) as caught:
        settings_of(file, text)
    return [line.removeprefix(f"{file.parent}/") for line in caught.value.lines]


@pytest.mark.parametrize("text", [TABLES, DOTTED], ids=["tables", "dotted"])
def test_keys_are_those_of_fedmsg_as_tables_or_dotted(file: Path, text: str) -> None:
    settings = settings_of(file, text)

    assert settings.rules_directory == file.parent
    assert settings.consume_delay == 7
    assert settings.banned_usernames == {"bodhi", "koji"}
    assert settings.cache == ("dogpile.cache.memory", {})
    assert settings.tahrir_url.database == "tahrir.db"
    assert settings.history_url.database == "datanommer.db"
    assert settings.issuer.name == "Example Badges"


def test_keys_of_signatures_have_no_effect(file: Path) -> None:
    keys = "validate_signatures = true\nsign_messages = true\n"

    settings = settings_of(file, DOTTED + keys)

    assert not settings.fedmsg["validate_signatures"]
    assert not settings.fedmsg["sign_messages"]


def test_every_key_can_be_written_with_its_dots(file: Path) -> None:
    keys = [key.name for key in KEYS.values() if not key.within]
    file.write_text("[consumer_config]\n" + "".join(f"{key} = 1\n" for key in keys))

    assert toml_configuration(read_toml(file), file).keys() >= set(keys)


@pytest.mark.parametrize(
    ("text", "found", "line"),
    [
        (
            TABLES,
            '"badges.consume_delay" = 7',
            "config.toml:6:1: malformed key 'badges.consume_delay",
        ),
        (TABLES, 'issuer_name = "Example', "config.toml:23:1: malformed key 'issuer_name'"),
        (
            DOTTED,
            "badges.consume_delay = 7",
            "config.toml:4:1: malformed key 'badges.consume_delay",
        ),
        (
            DOTTED,
            'badges_global.badge_issuer.issuer_name = "Example',
            "config.toml:10:1: malformed key 'issuer_name' in 'badge_issuer'",
        ),
        (
            DOTTED,
            'badges.cache = {backend = "',
            "config.toml:7:1: malformed key 'badges.cache'",
        ),
    ],
)
def test_malformed_key_is_located(file: Path, text: str, found: str, line: str) -> None:
    name, _, _ = found.partition(" = ")
    if "cache" in name:
        wrong = text.replace(found, f'{name} = {{backend = "no')
    else:
        (old,) = (each for each in text.splitlines() if each.startswith(found))
        wrong = text.replace(old, f'{name} = ["no"]')

    (mistake,) = mistakes(file, wrong)
    assert mistake.startswith(line)


def test_malformed_key_after_values_of_several_lines_is_located(file: Path) -> None:
    text = (
        DOTTED
        + '''
badges.email_domain = """
badges.reload = 1
"""
  badges.reload = [
  1,
]
'''
    )
    lines = sorted(mistakes(file, text))

    assert [line.split(":")[:3] for line in lines] == [
        ["config.toml", "14", "1"],
        ["config.toml", "17", "3"],
    ]


def test_missing_key_is_located_at_its_table_or_in_the_file(file: Path) -> None:
    text = TABLES.replace('issuer_org = "https://example.org"', "")
    text = text.replace('yaml.directory = "RULES"', "")

    missing_directory, missing_org = mistakes(file, text)

    assert missing_directory.startswith("config.toml: missing key 'badges.yaml.directory'")
    assert missing_org.startswith("config.toml:21:1: missing key 'issuer_org' in 'badge_issuer'")


def test_unknown_key_is_located_and_the_closest_is_named(file: Path) -> None:
    text = DOTTED + "badges.reloads = true\n"
    file.write_text(text.replace("RULES", str(file.parent)))

    _, (warning,) = read_settings(toml_configuration(read_toml(file), file))

    assert warning == f"{file}:13:1: unknown key 'badges.reloads'; did you mean 'badges.reload'?"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[consumer_config]\nbadges.reload = yes\n", "config.toml:2:17: Invalid value"),
        ("[consumer_config]\nbadges = {\n", "config.toml:2:11: "),
        ("consumer_config = 1\n", "config.toml: malformed key 'consumer_config'; expected a table"),
    ],
)
def test_file_that_is_not_toml_or_has_no_table_is_reported(
    file: Path, text: str, mistake: str
) -> None:
    (line,) = mistakes(file, text)

    assert line.startswith(mistake)


def test_example_has_no_mistakes_and_is_complete(file: Path) -> None:
    text = (Path(__file__).parents[2] / "config/fedbadges.toml.example").read_text()

    settings = settings_of(file, text.replace("/usr/share/badges/rules", "RULES"))

    assert settings.email_domain == "example.org"
    assert (
        LazyConfig().load_config(str(file))["callback"]
        == "fedbadges.fedora_messaging:BadgesConsumer"
    )


def test_file_that_cannot_be_read_is_reported(file: Path) -> None:
    with pytest.raises(SettingsError, match="No such file or directory"):
        read_toml(file)
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"config\.toml: "):
        read_toml(file)


@pytest.mark.parametrize("text", ["", "[[queues]]\na = 1\n", "[consumer_config]\n", "x = {}\n"])
def test_keys_of_a_file_without_ours_are_none(text: str) -> None:
    keys: list[Any] = [key for key in keys_of_toml(text) if key.path]

    assert keys == []
