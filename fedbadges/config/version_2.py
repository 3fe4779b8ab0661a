"""The configuration of fedbadges 2.x, whose keys are read as ours.

Its keys have no dots and lie in ``consumer_config`` of the same TOML file, so both kinds can stand
beside each other: keys that 2.x does not know are added without a second file.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fedbadges.config.line_numbers import locate_at_top, locate_key
from fedbadges.util.text import printable

#: Where a configuration holds its Translation.
TRANSLATION = "fedbadges_2"

_MEMORY = ("dogpile.cache.memory", "dogpile.cache.memory_pickle", "dogpile.cache.null")


class _Key(NamedTuple):
    """A key of 2.x: the path of ours, its value for ours, and what a mistake says is expected."""

    ours: tuple[str, ...]
    convert: Callable[[Any], Any] = lambda value: value
    expected: str | None = None


class Name(NamedTuple):
    """How a file calls one of our keys, and what a mistake says is expected, if not as usual."""

    name: str
    expected: str | None = None


@dataclass(frozen=True)
class Translation:
    """What became of the keys of 2.x in a configuration.

    ``read`` has ours for each key that is set, ``names`` has theirs by the path of ours. ``twice``
    are set under both names. ``unused`` keys of a table mean nothing here, with the reason;
    ``unknown`` ones are in no table.
    """

    read: Mapping[str, str]
    names: Mapping[tuple[str, ...], Name]
    twice: Mapping[str, str]
    unused: Mapping[tuple[str, str], str]
    unknown: tuple[str, ...]

    def mistakes(self, files: list[Path]) -> list[str]:
        """Return a line for each key that is set twice."""
        return [
            f"{locate_at_top(name, files)}: '{name}' is the same as '{ours}', which is set as "
            "well; leave one of them out"
            for name, ours in self.twice.items()
        ]

    def warnings(self, files: list[Path]) -> list[str]:
        """Return a line for each unused key, with the reason."""
        return [
            f"{locate_key(name, table, files)}: '{printable(name)}' means nothing here: {reason}"
            for (table, name), reason in self.unused.items()
        ]


def _rules_folder(value: Any) -> Any:
    return str(Path(value) / "rules") if isinstance(value, str) and value.strip() else value


def _cache(value: Any) -> Any:
    """Return the cache as ``badges.cache``: None for one that ends with the process.

    That is what the daemon has of its own, with a file behind it where it may keep one.
    """
    if not isinstance(value, Mapping):
        return value
    if value.get("backend") in _MEMORY:
        return None
    dotted = {
        name.removeprefix("arguments."): each
        for name, each in value.items()
        if name.startswith("arguments.")
    }
    arguments = value.get("arguments", {})
    both = {**arguments, **dotted} if isinstance(arguments, Mapping) else arguments
    return {"backend": value.get("backend"), "arguments": both}


_REPOSITORY = "a clone of the badges' repository, with the rules in its folder 'rules'"
_FASJSON = "the address of FASJSON, and its client installed"

_KEYS: Mapping[str, _Key] = {
    "badges_repo": _Key(("badges.yaml.directory",), _rules_folder, _REPOSITORY),
    "database_uri": _Key(("badges_global", "database_uri")),
    "badge_issuer": _Key(("badges_global", "badge_issuer")),
    "datanommer_db_uri": _Key(("datanommer.sqlalchemy.url",)),
    "datagrepper_url": _Key(("fedbadges.datagrepper_url",)),
    "email_domain": _Key(("badges.email_domain",)),
    "id_provider_hostname": _Key(("badges.id_provider_hostname",)),
    "distgit_hostname": _Key(("badges.distgit_hostname",)),
    "fasjson_base_url": _Key(("badges.fasjson.url",), expected=_FASJSON),
    "skip_users": _Key(("badges.banned_usernames",)),
    "cache": _Key(("badges.cache",), _cache),
    "group_badges": _Key(("badges.group_badges",)),
}

_ISSUER_ID = "tahrir has no place for it"
_EXPIRATION = "counts are kept up to date, so they need not expire"
_OF_CACHE = "only 'backend' and 'arguments' of a cache are used"

#: Rules in which nothing tells are in the dialect for which they were written.
_DIALECT = "badges.dialect", "fedbadges-2"

#: Set with ``fasjson_base_url``, which in 2.x is enough to ask FASJSON about accounts.
_ACCOUNTS = "badges.accounts"


def translate(
    config: Mapping[str, Any], known: Collection[str]
) -> tuple[dict[str, Any], Translation | None]:
    """Return a configuration with our keys in place of those of 2.x, and what became of each.

    One without any is returned as it is, with None. ``known`` are our own keys.
    """
    read = {name: key for name, key in _KEYS.items() if name in config}
    if not read:
        return dict(config), None
    made = {name: value for name, value in config.items() if name not in _KEYS}
    twice = {name: ".".join(key.ours) for name, key in read.items() if _is_set(made, key.ours)}
    names = {
        key.ours: Name(name, key.expected)
        for name, key in _KEYS.items()
        if not _is_set(made, key.ours)
    }
    # Without it, what is missing in it would be reported as missing as a whole.
    made.setdefault("badges_global", {})
    for name, key in read.items():
        if name not in twice:
            _set(made, key.ours, key.convert(config[name]))
    made.setdefault(*_DIALECT)
    if "fasjson_base_url" in read and _ACCOUNTS not in made:
        made[_ACCOUNTS] = "fasjson"
        names[_ACCOUNTS,] = Name("fasjson_base_url", _FASJSON)
    return made, Translation(
        {name: ".".join(key.ours) for name, key in read.items()},
        names,
        twice,
        _unused(config),
        tuple(name for name in made if name not in known and "." not in name),
    )


def known_names() -> tuple[str, ...]:
    """Return the keys of 2.x that are read."""
    return tuple(_KEYS)


def _is_set(config: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    value: Any = config
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return False
        value = value[name]
    return True


def _set(config: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    name, *below = path
    if not below:
        config[name] = value
    elif isinstance(config[name], Mapping):
        config[name] = {**config[name], below[0]: value}


def _unused(config: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return the keys in the tables of 2.x that mean nothing here, and why."""
    unused: dict[tuple[str, str], str] = {}
    cache, issuer = config.get("cache"), config.get("badge_issuer")
    if isinstance(issuer, Mapping) and "issuer_id" in issuer:
        unused["badge_issuer", "issuer_id"] = _ISSUER_ID
    if isinstance(cache, Mapping):
        for name in cache:
            if name == "expiration_time":
                unused["cache", name] = _EXPIRATION
            elif name not in ("backend", "arguments") and not name.startswith("arguments."):
                unused["cache", name] = _OF_CACHE
    return unused
