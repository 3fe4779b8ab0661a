"""Templates of which no recent message has the value."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.errors import Place
from fedbadges.lint.findings import Finding
from fedbadges.lint.samples import Sample, Samples, nearest, samples_of
from fedbadges.messages import category_of
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.operators import AnyOf, Check, leaves, operands
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import Template, TemplatePath
from fedbadges.rules.triggers import Category, LambdaTrigger, Topic, required_names
from fedbadges.util.text import printable

#: So many messages of one topic show what its messages have.
_ENOUGH = 20

#: Keys of filters whose values are people.
PEOPLE_KEYS = frozenset(f"{prefix}{key}" for prefix in ("", "not_") for key in ("users", "agents"))


@dataclass(frozen=True)
class PlacedPath:
    """A path of a template, and where it is; ``key`` is ``recipient``, or one of a filter.

    The key is empty in a trigger and in an operation. What is not ``always`` needed is below an
    ``any``.
    """

    path: TemplatePath
    place: Place
    key: str = ""
    always: bool = True


def paths_of(rule: Rule) -> Iterator[PlacedPath]:
    """Yield the paths of all templates of a rule."""
    for leaf in leaves(rule.trigger):
        if isinstance(leaf, LambdaTrigger):
            yield from _placed(leaf.expression, leaf.place, always=not _has_any(rule.trigger))
    if rule.recipient is not None:
        yield from _placed(rule.recipient.template, rule.place, "recipient")
    always = not _has_any(rule.criteria)
    for criterion in backend_criteria(rule.criteria):
        if not isinstance(criterion, PastMessages):
            continue
        for key, entry in criterion.filter.entries:
            for part in entry if isinstance(entry, tuple) else (entry,):
                if isinstance(part, (Template, Expression)):
                    yield from _placed(part, criterion.filter.place, key, always=always)
        if criterion.operation.expression is not None:
            place = criterion.operation.place
            yield from _placed(criterion.operation.expression, place, always=always)


def _placed(
    source: Template | Expression, place: Place, key: str = "", *, always: bool = True
) -> Iterator[PlacedPath]:
    """Yield the paths in a text, which begins at ``place`` unless they know better."""
    for path in source.paths:
        yield PlacedPath(path, path.place or place, key, always)


def missing_path(samples: Samples, rule: Rule) -> Iterator[Finding]:
    """Find templates whose value none of the messages has that the rule waits for."""
    names = dict.fromkeys(required_names(rule.trigger) or ())
    found = {name: samples_of(samples, _matcher(name)) for name in names}
    every = [sample for some in found.values() for sample in some]
    if not every:
        return
    for placed in paths_of(rule):
        if placed.path.dotted.partition(".")[0] != "msg":
            continue
        if _lack(placed, every):
            yield _finding(samples.described, placed, rule, every)
            continue
        for name, some in found.items() if placed.always else ():
            # Of a category, only some messages are of use.
            if not isinstance(name, Topic) or not some:
                continue
            if _lack(placed, some):
                yield _finding(samples.described, placed, rule, some, name.suffix)
                continue
            # Another site, or another environment, may still send the old messages.
            for each in some:
                if each.count >= _ENOUGH and _lack(placed, [each]):
                    yield _finding(samples.described, placed, rule, [each], each.topic)


def most_names(samples: Samples, rule: Rule, path: TemplatePath) -> int:
    """Return how many people a message names at a path, at most."""
    shapes = (
        sample.find(path)
        for name in required_names(rule.trigger) or ()
        for sample in samples_of(samples, _matcher(name))
    )
    return max((shape.names for shape in shapes if shape is not None), default=0)


def _has_any(criteria: Check[Any]) -> bool:
    return isinstance(criteria, AnyOf) or any(map(_has_any, operands(criteria)))


def _matcher(name: Topic | Category) -> Callable[[str], bool]:
    if isinstance(name, Category):
        return lambda topic: category_of(topic) == name.name
    return lambda topic: f".{topic}".endswith(f".{name.suffix}")


def _lack(placed: PlacedPath, samples: list[Sample]) -> bool:
    return all(sample.find(placed.path) is None for sample in samples)


def _finding(
    described: str, placed: PlacedPath, rule: Rule, samples: list[Sample], topic: str = ""
) -> Finding:
    converted = rule.recipient is not None and rule.recipient.conversions
    people = placed.key in PEOPLE_KEYS or (placed.key == "recipient" and not converted)
    near = nearest(placed.path.dotted, samples, people=people)
    count = sum(sample.count for sample in samples)
    of_topic = f" of '{printable(topic)}'" if topic else ""
    if count == 1:
        one = described.replace("{} ", "").removesuffix("s")
        text = f"the {one}{of_topic} has no {placed.path.dotted}"
        hint = f"; it has {near}"
    else:
        text = f"none of the {described.format(count)}{of_topic} has {placed.path.dotted}"
        hint = f"; they have {near}"
    return Finding(placed.place, "missing-path", text + (hint if near else ""))
