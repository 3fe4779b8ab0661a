"""fedora-messaging's configuration: a TOML file, with the keys of fedbadges in one of its tables.

The keys are the same as in fedmsg's configuration. A key with dots may be written in quotes, with
its dots as TOML has them, or as tables.
"""

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbadges.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The table that fedora-messaging leaves to its consumers.
TABLE = "consumer_config"

#: Where fedora-messaging looks for its file, unless this variable of the environment names another.
_DEFAULT_FILE = Path("/etc/fedora-messaging/config.toml")
_VARIABLE = "FEDORA_MESSAGING_CONF"

_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


class TomlKey(NamedTuple):
    """A key that a file sets: its path of names, and where it begins, counted from 1."""

    path: tuple[str, ...]
    line: int
    column: int


def is_toml(filename: object) -> bool:
    """Return True if a configuration file is one of fedora-messaging."""
    return isinstance(filename, (str, Path)) and Path(filename).suffix == ".toml"


def default_toml_file() -> Path:
    """Return the file that fedora-messaging reads, if nobody tells it which; it may be missing."""
    return Path(os.environ.get(_VARIABLE) or _DEFAULT_FILE)


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a file has below ``consumer_config``; raise SettingsError."""
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: {getattr(error, 'strerror', None) or error}"]) from error
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        place = f"{path}:{found[1]}:{found[2]}" if found else str(path)
        raise SettingsError([f"{place}: {_PLACE.sub('', str(error))}"]) from error
    table = whole.get(TABLE, {})
    if not isinstance(table, dict):
        raise SettingsError([f"{path}: malformed key '{TABLE}'; expected a table"])
    return table


def join_keys(table: Mapping[str, Any], known: Collection[str], prefix: str = "") -> dict[str, Any]:
    """Return a table with its subtables joined to keys with dots, as far as ``known`` keys go on.

    Of two that are the same key then, the later one counts.
    """
    joined: dict[str, Any] = {}
    for name, value in table.items():
        key = prefix + name
        begun = any(each.startswith(f"{key}.") for each in known)
        if isinstance(value, Mapping) and begun and key not in known:
            joined |= join_keys(value, known, f"{key}.")
        else:
            joined[key] = value
    return joined


def keys_of_toml(text: str) -> list[TomlKey]:
    """Return every key and every table below ``consumer_config``, in the order of the text."""
    table: tuple[str, ...] = ()
    keys: list[TomlKey] = []
    for line, column, statement in _statements(text.splitlines()):
        if statement.lstrip().startswith("["):
            (table, *_) = _paths(tomllib.loads(statement)) or [()]
            found: Iterable[tuple[str, ...]] = [table]
        else:
            found = [(*table, *path) for path in _paths(tomllib.loads(statement))]
        keys += (TomlKey(path[1:], line, column) for path in found if path[:1] == (TABLE,))
    return keys


def find_at_top(text: str, name: str) -> tuple[int, int] | None:
    """Return line and column of a key, or of a table, that is directly in ``consumer_config``."""
    found = (each for each in keys_of_toml(text) if each.path[:1] == (name,))
    return next(((each.line, each.column) for each in found), None)


def find_in_list(text: str, name: str, number: int, key: str) -> tuple[int, int] | None:
    """Return line and column of a key in one of the tables ``[[name]]``, or else of that table.

    ``number`` counts them from 0. Returns None if the list is written as a value.
    """
    header: TomlKey | None = None
    headers = 0
    for each in keys_of_toml(text):
        dotted = ".".join(each.path)
        if dotted == name:
            headers += 1
            header = each if headers == number + 1 else header
        elif headers == number + 1 and dotted == f"{name}.{key}":
            header = each
            break
    return None if header is None else (header.line, header.column)


def _statements(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield each table header and each key with its value, and the place where it begins.

    The parser says where one ends: it takes none that is incomplete.
    """
    begun, pending = 0, ""
    for number, line in enumerate(lines):
        pending += line + "\n"
        try:
            found = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if found:
            first = lines[begun]
            yield begun + 1, len(first) - len(first.lstrip()) + 1, pending
        begun, pending = number + 1, ""


def _paths(value: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all keys in a value that have no keys below them."""
    if not isinstance(value, Mapping) or not value:
        return [above] if above else []
    return [path for name, each in value.items() for path in _paths(each, (*above, str(name)))]
