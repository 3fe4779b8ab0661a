"""Whether a rule means the same as another one, tried with messages made for what they compare.

Messages for which the old rule raises an exception are left out: there it means nothing.
"""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.errors import MissingValue
from fedbadges.lint.fixes.lambdas import ExpressionReader
from fedbadges.messages import Message
from fedbadges.rules.criteria import PlacedCriterion
from fedbadges.rules.filters import FilledFilter, Pages
from fedbadges.rules.operators import RULE_ERRORS, leaves
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, Topic, required_names

#: At most so many messages, and so many lists of past messages, are tried.
_MOST_MESSAGES = 600
_MOST_PASTS = 60

_ABSENT = object()
_NO_PARENT = object()
_ANY: tuple[Any, ...] = (
    *("", "alice", "bob", 0, 1, 7),
    *([], ["alice"], {}, {"alice": 1, "bob": 2, "carol": 3}),
)
_PREFIX = "org.fedoraproject.prod."
_START = datetime.datetime(2024, 1, 1)


@dataclass(frozen=True)
class _Past:
    """A past message."""

    number: int
    msg: Any
    topic: str
    timestamp: datetime.datetime
    msg_id: str | None = None
    users: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


class _Query(list[_Past]):
    """The past messages that an operation sees."""

    def all(self) -> list[_Past]:
        return self

    def count(self, *_: Any) -> int:
        return len(self)


class Samples:
    """Messages with and without the fields that lambdas compare, and with what they compare.

    ``known`` are the paths that every message has to have.
    """

    def __init__(self, readers: Iterable[ExpressionReader], known: frozenset[str]) -> None:
        self._values: dict[str, list[Any]] = {}
        for reader in readers:
            paths = {*reader.constants, *reader.flags, *reader.compared, *reader.read_paths}
            for path in paths:
                self._values.setdefault(path, _values(reader, path, path in known))
        for path in known:
            self._values.setdefault(path, ["alice", "bob"])
        self._random = random.Random(0)

    def bodies(self) -> list[dict[str, Any]]:
        """Return contents with combinations of the values."""
        paths, values = list(self._values), list(self._values.values())
        count = 1
        for each in values:
            count *= len(each)
        if count <= _MOST_MESSAGES:
            combinations = list(itertools.product(*values))
        else:
            combinations = [
                tuple(self._random.choice(each) for each in values) for _ in range(_MOST_MESSAGES)
            ]
        return [_body(zip(paths, each, strict=True)) for each in combinations]

    def pasts(self, bodies: Sequence[dict[str, Any]]) -> Iterator[list[_Past]]:
        """Yield lists of past messages."""
        for size in range(_MOST_PASTS):
            yield [
                _Past(
                    number,
                    body.get("msg", {}),
                    body.get("topic", f"{_PREFIX}a.b"),
                    _START + datetime.timedelta(hours=self._random.randrange(240)),
                )
                for number, body in enumerate(self._random.choices(bodies, k=size % 12))
            ]


def mean_same(old: Rule, new: Rule, samples: Samples) -> bool:
    """Return True if two rules trigger and judge alike, as far as samples show."""
    if (old.badge, old.naming, old.series) != (new.badge, new.naming, new.series):
        return False
    bodies = samples.bodies()
    return _trigger_same(old, new, bodies) and _judge_same(old, new, bodies, samples)


def _trigger_same(old: Rule, new: Rule, bodies: Iterable[dict[str, Any]]) -> bool:
    topic = _topic_of(old)
    for body in bodies:
        whole = {"topic": topic, "timestamp": 0, "msg_id": "2024-1", "i": 1, "msg": {}, **body}
        message = Message(str(whole["topic"]), whole, 0.0)
        try:
            wanted = bool(old.trigger.holds(message))
        except RULE_ERRORS:
            continue
        if _holds(new, message) is not wanted:
            return False
    return True


def _holds(rule: Rule, message: Message) -> bool:
    try:
        return bool(rule.trigger.holds(message))
    except MissingValue:
        return False


def _topic_of(rule: Rule) -> str:
    for name in required_names(rule.trigger) or ():
        if isinstance(name, Topic):
            return _PREFIX + name.suffix
        if isinstance(name, Category):
            return f"{_PREFIX}{name.name}.a"
    return f"{_PREFIX}a.b"


def _judge_same(old: Rule, new: Rule, bodies: Sequence[dict[str, Any]], samples: Samples) -> bool:
    parts = list(leaves(old.criteria)), list(leaves(new.criteria))
    if len(parts[0]) != len(parts[1]):
        return False
    for one, other in zip(*parts, strict=True):
        if not isinstance(one, PlacedCriterion) or not isinstance(other, PlacedCriterion):
            return False
        before, after = one.criterion, other.criterion
        if not isinstance(before, PastMessages) or not isinstance(after, PastMessages):
            if one.text != other.text:
                return False
            continue
        if not (
            _select_same(before, after, bodies)
            and _compute_same(before, after, bodies, samples)
            and _compare_same(before, after)
        ):
            return False
    return True


def _select_same(
    before: PastMessages, after: PastMessages, bodies: Iterable[dict[str, Any]]
) -> bool:
    """Return True if the filters have equal values, but for fields."""
    for body in itertools.islice(bodies, 100):
        whole = {"topic": f"{_PREFIX}a.b", "timestamp": 0, "msg_id": "2024-1", "msg": {}, **body}
        message = Message(str(whole["topic"]), whole, 0.0)
        filled: list[FilledFilter | None] = []
        for each in (before, after):
            try:
                filled.append(_all_pages(each.filter.fill(message, "alice")))
            except RULE_ERRORS:
                filled.append(None)
        if filled[0] != filled[1]:
            return False
    return True


def _all_pages(filled: FilledFilter) -> FilledFilter:
    """Return a filter without pages if it leaves out no message."""
    return replace(filled, pages=Pages()) if filled.pages.everything else filled


def _compute_same(
    before: PastMessages,
    after: PastMessages,
    bodies: Sequence[dict[str, Any]],
    samples: Samples,
) -> bool:
    if before.operation == after.operation:
        return True
    old, new = before.operation.expression, after.operation.expression
    for past in samples.pasts(bodies):
        message = {"topic": f"{_PREFIX}a.b", "msg_id": "2024-1", "msg": {}, **bodies[0]}
        try:
            filled = () if old is None else old.fill(message)
            wanted = len(past) if old is None else _of(past, old, filled)
        except RULE_ERRORS:
            continue
        try:
            found = len(past) if new is None else _of(past, new, new.fill(message))
        except RULE_ERRORS:
            return False
        if found != wanted and not _nearly(found, wanted):
            return False
    return True


def _of(past: list[_Past], expression: Any, filled: tuple[Any, ...]) -> Any:
    """Return what an expression makes of messages, as the history does."""
    test = expression.test
    if test is None:
        return expression(_Query(past), filled)
    return sum(_passes(test, message, filled) for message in past)


def _passes(test: Any, message: _Past, filled: tuple[Any, ...]) -> bool:
    try:
        return bool(test(message, filled))
    except RULE_ERRORS:  # it does not count
        return False


def _nearly(one: Any, other: Any) -> bool:
    """Return True for sums that differ by rounding."""
    if not isinstance(one, (int, float)) or not isinstance(other, (int, float)):
        return False
    return abs(one - other) <= 1e-9 * max(abs(one), abs(other))


def _compare_same(before: PastMessages, after: PastMessages) -> bool:
    if before.condition == after.condition:
        return True
    values = [number / 2 for number in range(-4, 400)]
    return all(before.condition.holds(each) is after.condition.holds(each) for each in values)


def _values(reader: ExpressionReader, path: str, known: bool) -> list[Any]:
    """Return what a field may have."""
    if path in reader.flags:
        found: list[Any] = [True, False]
    elif path in reader.numbers:
        found = [-2, 0, 1, 1.5, 7, *reader.constants.get(path, ())]
    elif path in reader.compared:
        # Whether null and nothing are equal makes no difference between people.
        found = ["alice", "bob", 7]
    elif path == "topic":
        found = [f"{_PREFIX}a.b", *(str(each) for each in reader.constants.get(path, ()))]
        return [*found, *(f"{_PREFIX}{each}" for each in found)]
    else:
        constants = reader.constants.get(path, [])
        found = [*constants, *_ANY]
        for each in constants:
            if isinstance(each, str):
                found += [f"{each}x", f"x{each}", f"{each}\n", f"x\n{each}", [each], {each: 1}]
            elif type(each) in (int, float):
                found += [each + 1, each - 1]
        if not known:
            found.append(None)
    if known:
        return found
    return [*found, _ABSENT, *([_NO_PARENT] if path.count(".") > 1 else [])]


def _body(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the content with these values at their paths, as far as they are compatible."""
    body: dict[str, Any] = {}
    for path, value in values:
        if value is _ABSENT:
            continue
        *parents, last = path.split(".")
        if value is _NO_PARENT:
            last, value = parents.pop(), None
        inside: Any = body
        for part in parents:
            inside = inside.setdefault(part, {}) if isinstance(inside, dict) else None
        if isinstance(inside, dict):
            inside.setdefault(last, value)
    return body
