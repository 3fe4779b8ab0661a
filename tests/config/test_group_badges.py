"""``badges.group_badges``: what it says, and where a mistake in it is."""

from pathlib import Path
from typing import Any

import pytest
from support.builders import ISSUER

from fedbadges.config.settings import GroupBadge, read_settings, toml_configuration
from fedbadges.config.toml_files import read_toml
from fedbadges.errors import SettingsError


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """All that is needed beside it; the test adds the file."""
    monkeypatch.chdir(tmp_path)
    return {
        "badges.yaml.directory": str(tmp_path),
        "badges_global": {"database_uri": "sqlite:///tahrir.db", "badge_issuer": ISSUER},
        "datanommer.sqlalchemy.url": "sqlite:///datanommer.db",
        "badges.fasjson.url": "https://fasjson.example.org",
    }


def mistakes(config: dict[str, Any], file: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(config if file is None else config | {"config_filename": str(file)})
    return [line.rpartition("/")[2] for line in caught.value.lines]


def test_members_get_it_unless_something_else_is_said(config: dict[str, Any]) -> None:
    config["badges.group_badges"] = [
        {"group": " docs ", "badge": "writer"},
        {"group": "docs", "badge": "teacher", "memberships": "sponsors"},
    ]

    settings, warnings = read_settings(config)

    assert settings.group_badges == (
        GroupBadge("docs", "writer", "members"),
        GroupBadge("docs", "teacher", "sponsors"),
    )
    assert warnings == ()


def test_there_are_none_by_default(config: dict[str, Any]) -> None:
    settings, _ = read_settings(config)

    assert settings.group_badges == ()


@pytest.mark.parametrize("value", [{}, "docs", {"group": "docs"}, ["docs"], [["docs"]], 7])
def test_anything_but_a_list_of_mappings_is_a_mistake(config: dict[str, Any], value: Any) -> None:
    config["badges.group_badges"] = value

    (line,) = mistakes(config)

    assert line.partition(": ")[2] == (
        "malformed key 'badges.group_badges'; expected a list of mappings with 'group', 'badge' "
        "and perhaps 'memberships'"
    )


@pytest.mark.parametrize(
    "text",
    [
        """\
config = {
    "badges.group_badges": [
        {"group": "docs", "badge": "writer"},
        {
            "group": "a/b",
            "badge": "teacher", "memberships": ["sponsors"],
        },
        {"group": "docs"},
    ],
}
""",
        """\
config = {}
config["badges.group_badges"] = (
        {"group": "docs", "badge": "writer"},
        {
            "group": "a/b",
            "badge": "teacher", "memberships": ["sponsors"],
        },
        {"group": "docs"},
)
""",
    ],
    ids=["literal", "assigned"],
)
def test_mistakes_are_located_in_python(config: dict[str, Any], tmp_path: Path, text: str) -> None:
    file = tmp_path / "badges.py"
    file.write_text(text)
    exec(text, found := {})  # type: ignore[var-annotated]  # noqa: S102

    assert mistakes(config | found["config"], file) == [
        "badges.py:5:13: malformed key 'group' in 'badges.group_badges'; expected the name of a "
        "group",
        "badges.py:6:33: malformed key 'memberships' in 'badges.group_badges'; expected 'members' "
        "or 'sponsors'",
        "badges.py:8:9: missing key 'badge' in 'badges.group_badges'; expected the id of a badge",
    ]


def test_mistakes_are_located_in_toml(config: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "badges.toml"
    file.write_text("""\
[[consumer_config.badges.group_badges]]
group = "docs"
badge = "writer"

[[consumer_config.badges.group_badges]]
group = "docs"
  badge = 5
""")

    table = toml_configuration(read_toml(file), file)

    assert mistakes(config | table) == [
        "badges.toml:7:3: malformed key 'badge' in 'badges.group_badges'; expected the id of a "
        "badge"
    ]


def test_mistake_in_tables_on_one_line_is_located_there(
    config: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "badges.toml"
    file.write_text('[consumer_config]\nbadges.group_badges = [{group = "docs"}, {badge = "x"}]\n')

    lines = mistakes(config | toml_configuration(read_toml(file), file))

    assert [line.split(";")[0] for line in lines] == [
        "badges.toml:2:1: missing key 'badge' in 'badges.group_badges'",
        "badges.toml:2:1: missing key 'group' in 'badges.group_badges'",
    ]


def test_unknown_key_is_a_warning_with_the_closest(config: dict[str, Any]) -> None:
    config["badges.group_badges"] = [{"group": "docs", "badge": "writer", "membership": "sponsors"}]

    _, (warning,) = read_settings(config)

    assert warning.endswith(": unknown key 'membership'; did you mean 'memberships'?")


def test_fasjson_must_be_known(config: dict[str, Any]) -> None:
    del config["badges.fasjson.url"]
    config["badges.group_badges"] = [{"group": "docs", "badge": "writer"}]

    with pytest.raises(SettingsError, match=r"missing key 'badges\.fasjson\.url'"):
        read_settings(config)
