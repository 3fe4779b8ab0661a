"""Configuration keys: dataclass fields that know their key, and a reader that reports mistakes."""

import copy
import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fedbadges.config.line_numbers import config_files, locate_at_top, locate_entry, locate_key
from fedbadges.config.values import MalformedValue
from fedbadges.config.version_2 import TRANSLATION, Name
from fedbadges.util.text import printable

T = TypeVar("T")

#: The default of a key that must be set.
REQUIRED = object()


@dataclass(frozen=True)
class ConfigKey:
    """A key: what a mistake says is expected, how its value is parsed, and its default.

    The value None means that the key is not set. ``within`` is the path of the mapping that has the
    key, and ``older_name`` is accepted in place of its name.
    """

    name: str
    expected: str
    parse: Callable[[Any], Any]
    default: Any = None
    within: tuple[str, ...] = ()
    older_name: str | None = None

    def __str__(self) -> str:
        return f"'{self.name}' in '{self.within[-1]}'" if self.within else f"'{self.name}'"


def config_key(*args: Any, repr: bool = True) -> Any:  # noqa: A002  as dataclasses.field has it
    """Return a dataclass field that is read from ``ConfigKey(*args)``."""
    return dataclasses.field(repr=repr, metadata={"key": ConfigKey(*args)})


def keys_of(cls: type) -> dict[str, ConfigKey]:
    """Return the keys of a dataclass, by the names of its fields."""
    return {
        field.name: field.metadata["key"]
        for field in dataclasses.fields(cls)
        if "key" in field.metadata
    }


class ConfigReader:
    """Reads keys from the configuration, and collects a line for each mistake.

    A key that is set under its name in fedbadges 2.x is reported under that name.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        translation = config.get(TRANSLATION)
        self._names: Mapping[tuple[str, ...], Name] = translation.names if translation else {}
        self.files = config_files(config)
        self._mappings: dict[tuple[str, ...], Mapping[str, Any] | None] = {(): config}
        self._number: int | None = None
        self.mistakes: list[str] = []

    def read(self, key: ConfigKey) -> Any:
        """Return the value of a key or its default; None if that is a mistake."""
        source = self.mapping(key.within)
        if source is None:
            return None
        if key.older_name in source and key.name not in source:
            key = dataclasses.replace(key, name=str(key.older_name))
        value = key.default if source.get(key.name) is None else source[key.name]
        try:
            if value is REQUIRED:
                raise ValueError
            return None if value is None else key.parse(value)
        except (ValueError, TypeError, OverflowError) as error:
            self.report(key, str(error) if isinstance(error, MalformedValue) else "")
        return None

    def read_all(self, cls: type) -> dict[str, Any]:
        """Return the values of all keys of a dataclass, by the names of its fields."""
        return {name: self.read(key) for name, key in keys_of(cls).items()}

    def read_list(self, key: ConfigKey, cls: type[T]) -> tuple[list[T], list[str]]:
        """Return an object for each mapping in a list, and a warning for each unknown key.

        Mappings with mistakes are left out. The keys of ``cls`` are ``within`` the list.
        """
        keys = keys_of(cls)
        path, names = (key.name,), [each.name for each in keys.values()]
        made: list[T] = []
        unknown: list[str] = []
        for number, entry in enumerate(self.read(key) or ()):
            reader, before = copy.copy(self), len(self.mistakes)
            reader._mappings, reader._number = {path: entry}, number
            values = {name: reader.read(each) for name, each in keys.items()}
            if len(self.mistakes) == before:
                made.append(cls(**values))
            unknown += (reader.unknown(name, path, names) for name in entry if name not in names)
        return made, unknown

    def mapping(self, path: tuple[str, ...]) -> Mapping[str, Any] | None:
        """Return the mapping at a path of names; None if it is missing or something else."""
        if path not in self._mappings:
            within, name = path[:-1], path[-1]
            source = self.mapping(within)
            found = None if source is None else source.get(name)
            if source is not None and not isinstance(found, Mapping):
                state = "malformed" if name in source else "missing"
                place = self.locate(name, within)
                self.mistakes.append(f"{place}: {state} key '{name}'; expected a mapping")
            self._mappings[path] = found if isinstance(found, Mapping) else None
        return self._mappings[path]

    def report(self, key: ConfigKey, reason: str = "") -> None:
        """Report that the value of a key is missing or malformed."""
        source = self.mapping(key.within) or {}
        state = "missing" if source.get(key.name) is None else "malformed"
        renamed = self._names.get((*key.within, key.name))
        expected = renamed.expected if renamed and renamed.expected else key.expected
        place = self.locate(key.name, key.within)
        line = f"{place}: {state} key {self.describe(key)}; expected {expected}"
        self.mistakes.append(f"{line} ({printable(reason)})" if reason else line)

    def unknown(self, name: Any, within: tuple[str, ...], known: Iterable[str]) -> str:
        """Return a warning about an unknown key, with the closest known one."""
        near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"{self.locate(str(name), within)}: unknown key '{printable(str(name))}'{hint}"

    def describe(self, key: ConfigKey) -> str:
        """Return the name of a key in the configuration file, in quotes, with what it is in."""
        renamed = self._names.get((*key.within, key.name))
        if renamed is not None:
            return f"'{renamed.name}'"
        if key.within in self._names:
            return f"'{key.name}' in '{self._names[key.within].name}'"
        return str(key)

    def locate(self, name: str, within: tuple[str, ...] = (), number: int | None = None) -> str:
        """Return ``file:line:column`` of a key; ``number`` is that of its mapping in a list."""
        renamed = self._names.get((*within, name))
        if renamed is not None:
            return locate_at_top(renamed.name, self.files)
        if not within:
            return locate_key(name, None, self.files)
        around = self._names[within].name if within in self._names else within[-1]
        number = self._number if number is None else number
        if number is not None:
            return locate_entry(name, around, number, self.files)
        return locate_key(name, around, self.files)
