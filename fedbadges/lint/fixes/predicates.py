"""Predicates: what a rule asks of the fields of a message, apart from how it is written.

A Leaf knows the answer for a message that lacks its field, which Python's defaults decide and
``fields`` does not: so a predicate can be negated, and written with ``exists`` where needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

#: What a rule has below a path in ``fields``: a value, or a mapping of comparisons.
Check = Any

_OPPOSITE = {
    "is not": "equal to",
    "greater than": "less than or equal to",
    "less than or equal to": "greater than",
    "less than": "greater than or equal to",
    "greater than or equal to": "less than",
}
_END = re.compile(r"(\.[\w-]+)+")
_THERE = {"exists": True}
_ABSENT = {"exists": False}


@dataclass(frozen=True)
class Leaf:
    """What one field must be; ``missing`` is the answer for a message that does not have it.

    None means that there is none, as the lambda raises an exception.
    """

    path: str
    check: Check
    missing: bool | None = False

    def negated(self) -> Leaf:
        """Return the opposite."""
        missing = None if self.missing is None else not self.missing
        return Leaf(self.path, _negated(self.check), missing)

    @property
    def written(self) -> Check:
        """Return what a rule has below the path."""
        if not self.missing or self.check == _ABSENT:
            return self.check
        return {"any": [*_present(self.check), _ABSENT]}

    @property
    def implies_value(self) -> bool:
        """Return True if it holds of no message whose field is null or not there."""
        if self.missing:
            return False
        if not isinstance(self.check, dict):
            return self.check is not None
        name, value = next(iter(self.check.items()))
        if name == "is not":
            return value is None
        if name == "any":
            return all(replace(self, check=each).implies_value for each in value)
        return name not in ("not", "all", "exists", "equal to")


@dataclass(frozen=True)
class Several:
    """Predicates of which all must hold, or one if ``word`` is ``any``."""

    word: str
    parts: tuple[Predicate, ...]

    def negated(self) -> Several:
        """Return the opposite."""
        word = "any" if self.word == "all" else "all"
        return several(word, [part.negated() for part in self.parts])  # type: ignore[return-value]


Predicate = Leaf | Several


def several(word: str, parts: Iterable[Predicate]) -> Predicate:
    """Return predicates of which all, or any, must hold; those of one field become one."""
    found: list[Predicate] = []
    for part in parts:
        for each in part.parts if isinstance(part, Several) and part.word == word else (part,):
            _add(found, each, word)
    return found[0] if len(found) == 1 else Several(word, tuple(found))


def leaves(predicate: Predicate) -> Iterator[Leaf]:
    """Yield all parts that are about one field."""
    if isinstance(predicate, Leaf):
        yield predicate
    else:
        for part in predicate.parts:
            yield from leaves(part)


def known_paths(predicate: Predicate) -> Iterator[str]:
    """Yield the paths that a message has, and not with null, of which the predicate holds."""
    if isinstance(predicate, Leaf):
        if predicate.implies_value:
            yield predicate.path
    elif predicate.word == "all":
        for part in predicate.parts:
            yield from known_paths(part)


def without_gaps(predicate: Predicate, known: frozenset[str]) -> Predicate:
    """Return a predicate for messages that have these paths."""
    if isinstance(predicate, Leaf):
        if predicate.path not in known or predicate.check == _ABSENT:
            return predicate
        checks = _present(predicate.check)
        check = checks[0] if len(checks) == 1 else predicate.check
        return Leaf(predicate.path, check, None)
    parts = predicate.parts
    if predicate.word == "any":
        # A part that asks whether such a field is absent never holds.
        parts = tuple(part for part in parts if not _asks_for_absence(part, known)) or parts
    else:
        there = [Leaf(path, _THERE) for path in known]
        parts = tuple(part for part in parts if part not in there) or parts
    return several(predicate.word, [without_gaps(part, known) for part in parts])


def fields_of(predicate: Predicate) -> dict[str, Check] | None:
    """Return what ``fields`` has for a predicate; None if that is not one mapping."""
    parts = (predicate,) if isinstance(predicate, Leaf) else predicate.parts
    if isinstance(predicate, Several) and predicate.word == "any":
        return None
    if not all(isinstance(part, Leaf) for part in parts):
        return None
    return {part.path: part.written for part in leaves(predicate)}


def trigger_of(predicate: Predicate) -> dict[str, Any]:
    """Return what a trigger has for a predicate."""
    if isinstance(predicate, Several) and predicate.word == "any":
        return {"any": [trigger_of(part) for part in predicate.parts]}
    parts = (predicate,) if isinstance(predicate, Leaf) else predicate.parts
    found: dict[str, Any] = {}
    fields: dict[str, Check] = {}
    others: list[dict[str, Any]] = []
    for part in parts:
        if not isinstance(part, Leaf):
            others.append(trigger_of(part))
        elif part.path == "topic" and (end := _end_of_topic(part.written)):
            found["topic"] = end
        else:
            fields[part.path] = part.written
    if fields:
        found["fields"] = fields
    return {"all": [*([found] if found else []), *others]} if others else found


def _end_of_topic(check: Check) -> str:
    """Return the end, in whole parts, that a topic must have; nothing if it is another check."""
    end = check.get("ends with", "") if isinstance(check, dict) and len(check) == 1 else ""
    return end[1:] if _END.fullmatch(end) else ""


def _add(found: list[Predicate], part: Predicate, word: str) -> None:
    """Add a part; if there is one about the same field, the two become one."""
    if isinstance(part, Leaf):
        for place, other in enumerate(found):
            if isinstance(other, Leaf) and other.path == part.path:
                found[place] = _joined(other, part, word)
                return
    found.append(part)


def _joined(one: Leaf, other: Leaf, word: str) -> Leaf:
    if one == other:
        return one
    answers = {one.missing, other.missing}
    decisive = word == "any"
    missing = decisive if decisive in answers else None if None in answers else not decisive
    checks = (one.check, other.check)
    if word == "any":
        return Leaf(
            one.path, {"any": [alt for each in checks for alt in _alternatives(each)]}, missing
        )
    plain = all(isinstance(each, dict) for each in checks)
    if plain and not set(one.check) & set(other.check):
        return Leaf(one.path, {**one.check, **other.check}, missing)
    return Leaf(one.path, {"all": list(checks)}, missing)


def _alternatives(check: Check) -> list[Check]:
    return list(check["any"]) if isinstance(check, dict) and set(check) == {"any"} else [check]


def _present(check: Check) -> list[Check]:
    """Return the alternatives for a message that has the field."""
    return [each for each in _alternatives(check) if each != _ABSENT]


def _negated(check: Check) -> Check:
    if isinstance(check, bool):
        return not check
    if not isinstance(check, dict):
        return {"is not": check}
    if len(check) == 1:
        ((name, value),) = check.items()
        if name == "exists":
            return {"exists": not value}
        if name == "not":
            return value
        if name == "is not":
            return value
        if name == "length" and isinstance(value, dict) and set(value) <= set(_OPPOSITE):
            return {"length": _negated(value)}
        if name in _OPPOSITE:
            return {_OPPOSITE[name]: value}
    return {"not": check}


def _asks_for_absence(predicate: Predicate, known: frozenset[str]) -> bool:
    return any(leaf.path in known and leaf.check == _ABSENT for leaf in _conjuncts(predicate))


def _conjuncts(predicate: Predicate) -> Iterator[Leaf]:
    if isinstance(predicate, Leaf) or predicate.word == "all":
        yield from leaves(predicate)
