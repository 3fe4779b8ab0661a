"""Names of people: where a message has them, and which spellings of them are equal."""

from collections.abc import Mapping
from typing import Any

_LISTS = (list, tuple, set, frozenset)


class Name(str):
    """The name of a user or a package that a past message concerns.

    datanommer has names as texts, and had them as objects with a ``name``: rules use both.
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """Return the name."""
        return str(self)


class AnySpelling(Name):
    """A name as its sender wrote it, which equals the same name in lower case as well.

    It is a Name because Python asks a subclass first whether two values are equal.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, str):
            return False
        return str.__eq__(self, other) or str.__eq__(self.lower(), other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __str__(self) -> str:
        # A template within quotes is its value's text.
        return self


def names_in(value: Any) -> tuple[Any, ...]:
    """Return the names in a value of a message, and what stands in the place of one.

    The value is a name, an object with ``name``, a list of these and of other such lists, or an
    object whose keys are names. An object has ``name`` if that is text; if it is null, or no text
    though others of its values are, the object names nobody.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):
        if "name" in value:
            null = value["name"] is None
            if null or any(isinstance(each, str) for each in value.values()):
                return (_name_of(value),)
        return tuple(value)
    names: list[Any] = []
    rest = [] if value is None else [value]
    while rest:
        item = rest.pop()
        if isinstance(item, _LISTS):
            rest.extend(reversed(list(item)))
        else:
            names.append(_name_of(item) if isinstance(item, Mapping) else item)
    return tuple(names)


def in_lower_case(name: str) -> str | None:
    """Return a name in lower case; None if that would make it a name of other letters.

    The Kelvin sign, U+212A, becomes a ``k``, by which anybody could take another one's name.
    """
    lower = name.lower()
    return None if lower.isascii() and not name.isascii() else lower


def any_spelling(value: Any) -> Any:
    """Return names, alone or of objects or in a list, that equal their lower-case spelling too."""
    if isinstance(value, list):
        return [_any_spelling_of_one(each) for each in value]
    return _any_spelling_of_one(value)


def spellings(value: Any) -> tuple[Any, ...]:
    """Return the values that a value equals, which may be an AnySpelling."""
    if not isinstance(value, AnySpelling):
        return (value,)
    exact = "".join(value)
    return (exact, exact.lower())


def _any_spelling_of_one(value: Any) -> Any:
    if isinstance(value, str) and value != value.lower():
        return AnySpelling(value)
    if isinstance(value, dict) and isinstance(name := value.get("name"), str):
        return {**value, "name": AnySpelling(name)}
    return value


def _name_of(person: Mapping[Any, Any]) -> Any:
    name = person.get("name")
    return name if isinstance(name, str) else person
