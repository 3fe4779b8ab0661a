"""Comparisons: what the value of a message's field must be, as a rule has it below ``fields``.

As in SQL, a comparison with nothing is neither true nor false, and ``not`` does not make it true.
Tests of a comparison return None for that. Values that cannot be compared, such as a text with a
number, do not satisfy a comparison.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from fedbadges.rules.conditions import COMPARISONS
from fedbadges.rules.templates import Template, TemplatePath

#: The values of templates by their index.
Values = tuple[Any, ...]

#: Decides of a value that a message has, with the values of the templates; None for "unknown".
Test = Callable[[Any, Values], bool | None]

#: Where in the values of the templates that of a path is.
Index = Mapping[str, int]


class Missing(Enum):
    """Stands in the place of a value that a message does not have."""

    MISSING = "missing"


MISSING = Missing.MISSING


@dataclass(frozen=True)
class Value:
    """What a field is compared with: a constant, or what a template makes of a message.

    ``text`` is how JSON has it; two values are equal if their texts are.
    """

    text: str
    constant: Any = field(default=None, compare=False, repr=False)
    template: Template | None = field(default=None, compare=False, repr=False)

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths of the templates in it."""
        return () if self.template is None else self.template.paths

    @property
    def is_path(self) -> bool:
        """Return True if it is a template alone, which gives a value with its type."""
        parts = () if self.template is None else self.template.parts
        return len(parts) == 1 and isinstance(parts[0], TemplatePath)

    def filled(self, index: Index) -> Callable[[Values], Any]:
        """Return what gives the value, or MISSING, from the values of the templates."""
        if self.template is None:
            return lambda values: self.constant
        if self.is_path:
            number = index[self.paths[0].dotted]
            return lambda values: values[number]
        parts = [
            index[each.dotted] if isinstance(each, TemplatePath) else each
            for each in self.template.parts
        ]
        return lambda values: _join(parts, values)


def _join(parts: list[str | int], values: Values) -> str | Missing:
    """Return a text in which numbers stand for the values of templates."""
    filled = [values[each] if isinstance(each, int) else each for each in parts]
    if MISSING in filled:
        return MISSING
    try:
        return "".join(map(str, filled))
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        return MISSING


@dataclass(frozen=True)
class Comparison:
    """The value compared with another one; ``name`` is one of NAMES."""

    name: str
    value: Value

    #: The answer for a message that does not have the field.
    when_missing: ClassVar[bool | None] = None

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths of the templates in it."""
        return self.value.paths

    @property
    def entry(self) -> str:
        """Return it as an entry of a mapping."""
        return f"{self.name}: {self.value.text}"

    def __str__(self) -> str:
        return self.value.text if self.name == EQUAL else f"{{{self.entry}}}"

    def test(self, index: Index) -> Test:
        """Return what decides of a value."""
        compare = _COMPARE[self.name]
        if self.value.template is None:
            constant = self.value.constant
            return lambda value, values: compare(value, constant)
        fill = self.value.filled(index)

        def test(value: Any, values: Values) -> bool | None:
            wanted = fill(values)
            return None if wanted is MISSING else compare(value, wanted)

        return test


@dataclass(frozen=True)
class Exists:
    """Whether the message has the field."""

    wanted: bool

    paths: ClassVar[tuple[TemplatePath, ...]] = ()

    @property
    def when_missing(self) -> bool:
        """Return the answer for a message that does not have the field."""
        return not self.wanted

    @property
    def entry(self) -> str:
        """Return it as an entry of a mapping."""
        return f"exists: {json.dumps(self.wanted)}"

    def __str__(self) -> str:
        return f"{{{self.entry}}}"

    def test(self, index: Index) -> Test:
        """Return what decides of a value, whatever that is."""
        return lambda value, values: self.wanted


@dataclass(frozen=True)
class Length:
    """The length of a text, a list or an object; nothing else has one."""

    part: Check

    when_missing: ClassVar[bool | None] = None

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths of the templates in it."""
        return self.part.paths

    @property
    def entry(self) -> str:
        """Return it as an entry of a mapping."""
        return f"length: {self.part}"

    def __str__(self) -> str:
        return f"{{{self.entry}}}"

    def test(self, index: Index) -> Test:
        """Return what decides of a value."""
        test = self.part.test(index)
        return lambda value, values: (
            test(len(value), values) if isinstance(value, (str, list, Mapping)) else False
        )


@dataclass(frozen=True)
class Several:
    """Comparisons of one value, of which all must hold, or one if ``decisive`` is True.

    ``word`` is the operator; it is empty where they are the entries of one mapping.
    """

    decisive: bool
    parts: tuple[Check, ...]
    word: str = ""

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths of the templates in it."""
        return tuple(path for part in self.parts for path in part.paths)

    @property
    def entry(self) -> str:
        """Return it as an entry, or entries, of a mapping."""
        if not self.word:
            return ", ".join(part.entry for part in self.parts)
        return f"{self.word}: [{', '.join(map(str, self.parts))}]"

    def __str__(self) -> str:
        return f"{{{self.entry}}}"

    @property
    def when_missing(self) -> bool | None:
        """Return the answer for a message that does not have the field."""
        return _combine((part.when_missing for part in self.parts), self.decisive)

    def test(self, index: Index) -> Test:
        """Return what decides of a value."""
        tests, decisive = [part.test(index) for part in self.parts], self.decisive
        return lambda value, values: _combine((test(value, values) for test in tests), decisive)


@dataclass(frozen=True)
class Not:
    """A comparison that must not hold."""

    part: Check

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths of the templates in it."""
        return self.part.paths

    @property
    def entry(self) -> str:
        """Return it as an entry of a mapping."""
        return f"not: {self.part}"

    def __str__(self) -> str:
        return f"{{{self.entry}}}"

    @property
    def when_missing(self) -> bool | None:
        """Return the answer for a message that does not have the field."""
        return _negated(self.part.when_missing)

    def test(self, index: Index) -> Test:
        """Return what decides of a value."""
        test = self.part.test(index)
        return lambda value, values: _negated(test(value, values))


#: What may be asked of a field.
Check = Comparison | Exists | Length | Several | Not


def _combine(answers: Iterator[bool | None], decisive: bool) -> bool | None:
    """Return ``decisive`` if one of the answers is that, else "unknown" if one is."""
    result: bool | None = not decisive
    for answer in answers:
        if answer is decisive:
            return decisive
        if answer is None:
            result = None
    return result


def _negated(answer: bool | None) -> bool | None:
    return None if answer is None else not answer


def conjuncts(check: Check) -> Iterator[Check]:
    """Yield checks all of which must hold for the whole to hold."""
    if isinstance(check, Several) and (not check.decisive or len(check.parts) == 1):
        for part in check.parts:
            yield from conjuncts(part)
    else:
        yield check


def _comparing(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], bool]:
    def holds(value: Any, wanted: Any) -> bool:
        try:
            return bool(compare(value, wanted))
        except (TypeError, RecursionError):  # of other types, or nested too deeply
            return False

    return holds


def _contains(value: Any, item: Any) -> bool:
    """Return True for a text in a text, an item of a list, and a key of an object."""
    if isinstance(value, str):
        return isinstance(item, str) and item in value
    return isinstance(value, (list, Mapping)) and item in value


def _starts_with(value: Any, text: Any) -> bool:
    return isinstance(value, str) and isinstance(text, str) and value.startswith(text)


def _ends_with(value: Any, text: Any) -> bool:
    return isinstance(value, str) and isinstance(text, str) and value.endswith(text)


EQUAL = "equal to"

#: Comparisons that have an order: of numbers, and of texts.
ORDERED = tuple(name for name in COMPARISONS if "than" in name)

#: The comparisons of two values, by their names.
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    **{name: _comparing(compare) for name, compare in COMPARISONS.items()},
    "contains": _comparing(_contains),
    "starts with": _starts_with,
    "ends with": _ends_with,
}
NAMES = tuple(_COMPARE)
