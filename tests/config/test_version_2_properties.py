"""What a configuration of fedbadges 2.x says is what our own keys say, or a mistake."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.toml import consumer_config

from fedbadges.config.settings import Settings, read_settings, toml_configuration
from fedbadges.config.toml_files import read_toml
from fedbadges.errors import SettingsError

ISSUER = {f"issuer_{name}": name for name in ("origin", "name", "org", "contact")}

#: What a file must have, in both ways of saying it.
REQUIRED = {
    "badges_repo": "REPO",
    "database_uri": "sqlite:///tahrir.db",
    "datanommer_db_uri": "sqlite:///datanommer.db",
    "badge_issuer": ISSUER,
}
REQUIRED_HERE = {
    "badges.yaml.directory": "REPO/rules",
    "badges_global": {"database_uri": "sqlite:///tahrir.db", "badge_issuer": ISSUER},
    "datanommer.sqlalchemy.url": "sqlite:///datanommer.db",
    "badges.dialect": "fedbadges-2",
}

HOSTS = st.from_regex(r"[a-z]{1,9}(\.[a-z]{1,9}){0,2}", fullmatch=True)
NAMES = st.lists(st.from_regex(r"[A-Za-z]{1,9}", fullmatch=True))
MEMORY = st.sampled_from(["memory", "memory_pickle", "null"])

#: Each key that may be missing: ours, and its values as they are here and there.
OPTIONAL: Mapping[str, tuple[str, st.SearchStrategy[tuple[Any, Any]]]] = {
    "email_domain": ("badges.email_domain", HOSTS.map(lambda v: (v, v))),
    "id_provider_hostname": ("badges.id_provider_hostname", HOSTS.map(lambda v: (v, v))),
    "distgit_hostname": ("badges.distgit_hostname", HOSTS.map(lambda v: (v, v))),
    "datagrepper_url": (
        "fedbadges.datagrepper_url",
        HOSTS.map(lambda v: (f"https://{v}/", f"https://{v}/")),
    ),
    "skip_users": ("badges.banned_usernames", NAMES.map(lambda v: (v, v))),
    "cache": (
        "badges.cache",
        st.tuples(MEMORY, st.integers()).map(
            lambda v: ({"backend": f"dogpile.cache.{v[0]}", "expiration_time": v[1] % 1000}, None)
        ),
    ),
}

PAIRS = st.fixed_dictionaries({}, optional={name: each[1] for name, each in OPTIONAL.items()})


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("repo")
    (made / "rules").mkdir()
    return made


def read(directory: Path, config: Mapping[str, Any]) -> Settings:
    file = directory / "config.toml"
    file.write_text(consumer_config(config).replace("REPO", str(directory)))
    settings, _ = read_settings(toml_configuration(read_toml(file), file))
    return settings


@given(PAIRS)
def test_settings_are_those_of_our_own_keys(
    directory: Path, pairs: dict[str, tuple[Any, Any]]
) -> None:
    theirs = {name: value for name, (value, _) in pairs.items()}
    ours = {OPTIONAL[name][0]: value for name, (_, value) in pairs.items()}

    assert read(directory, REQUIRED | theirs) == read(directory, REQUIRED_HERE | ours)


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-9, 9),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"])),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["backend", "arguments", "group", "badge", "x"]), inner),
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*REQUIRED, *OPTIONAL, "group_badges", "x"]), VALUES))
def test_any_value_is_read_or_is_a_mistake_with_its_line(
    directory: Path, changes: dict[str, Any]
) -> None:
    config = REQUIRED | changes
    names = list(config)

    try:
        read(directory, config)
    except SettingsError as error:
        for line in error.lines:
            place, _, mistake = line.removeprefix(f"{directory}/config.toml:").partition(": ")
            if mistake:  # its line; the table is in the first one, and each key has one
                assert f"'{names[int(place.split(':')[0]) - 2]}'" in mistake
            else:  # of no key that is there
                assert place.startswith(" missing key 'fasjson_base_url';")
