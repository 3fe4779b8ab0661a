"""What rules read: values of the messages that trigger them, and names of past messages."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from fedbadges.accounts.usernames import may_name_users
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.errors import Place
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.filters import Filter, paths_in, templates_in
from fedbadges.rules.operators import AnyOf, Check, leaves, operands
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import RECIPIENT, TemplatePath
from fedbadges.rules.triggers import Category, FieldTrigger, LambdaTrigger, required_names

_PEOPLE = ("users", "agents")
#: The keys of filters that name people.
PEOPLE_KEYS = frozenset(f"{prefix}{key}" for prefix in ("", "not_") for key in _PEOPLE)
#: The keys of a rule that do.
NAMING_KEYS = ("recipient", "except")


class Read(NamedTuple):
    """A path that a rule reads from a message, and the part that reads it.

    ``step`` is what the rule reads it for: ``trigger``, ``recipient`` or ``criteria``. ``key`` is
    one of NAMING_KEYS, or that of a filter. What is not ``always`` needed is below an ``any``. The
    path of a field stands alone; others stand in templates.
    """

    path: TemplatePath
    step: str
    part: str
    place: Place
    key: str = ""
    always: bool = True
    is_field: bool = False

    def shown(self, dotted: str) -> str:
        """Return another path as the rule would have it in this place."""
        return dotted if self.is_field else f"%({dotted})s"


def paths_read(rule: Rule) -> Iterator[Read]:
    """Yield every path that a template of a rule, or a field of its trigger, reads of a message.

    A field that may be missing is none, and what an expression reads is not known.
    """
    return (read for read in _paths_read(rule) if not read.path.computed)


def _paths_read(rule: Rule) -> Iterator[Read]:
    always = not _has_any(rule.trigger)
    for leaf in leaves(rule.trigger):
        if isinstance(leaf, FieldTrigger) and not leaf.wanted.check.when_missing:
            yield Read(
                leaf.wanted.path, "trigger", "fields", leaf.place, always=always, is_field=True
            )
        if isinstance(leaf, (FieldTrigger, LambdaTrigger)):
            for path in leaf.paths:
                yield Read(path, "trigger", "trigger", path.place or leaf.place, always=always)
    if rule.recipient is not None:
        only = len(rule.recipient.templates) == 1
        for path in rule.recipient.paths:
            place = path.place or rule.place
            yield Read(path, "recipient", "recipient", place, "recipient", only)
    if rule.excepted is not None:
        for path in rule.excepted.paths:
            yield Read(path, "recipient", "except", path.place or rule.place, "except")
    yield from _read_by_criteria(rule)


def _read_by_criteria(rule: Rule) -> Iterator[Read]:
    always = not _has_any(rule.criteria)
    for criterion in backend_criteria(rule.criteria):
        if not isinstance(criterion, PastMessages):
            continue
        for key, entry in criterion.filter.entries:
            for path in paths_in(entry):
                if path.dotted != RECIPIENT:
                    place = path.place or criterion.filter.place
                    yield Read(path, "criteria", "filter", place, key, always)
        fields = criterion.filter.fields
        for path in () if fields is None else fields.paths:
            if path.dotted != RECIPIENT:
                place = path.place or criterion.filter.place
                yield Read(path, "criteria", "filter", place, "fields", always)
        if _is_of_own_topic(criterion.filter):
            yield from fields_read(criterion.filter, always=always)
        operation, expression = criterion.operation, criterion.operation.expression
        for path in () if expression is None or fields is not None else expression.paths:
            place = path.place or operation.place
            yield Read(path, "criteria", "operation", place, always=always)


def fields_read(chosen: Filter, *, always: bool) -> Iterator[Read]:
    """Yield the paths of past messages that a filter compares; not one that may be missing."""
    for each in () if chosen.fields is None else chosen.fields.fields:
        if not each.check.when_missing:
            yield Read(each.path, "criteria", "filter", each.place, "fields", always, is_field=True)


def _is_of_own_topic(chosen: Filter) -> bool:
    """Return True if the past messages have the topic of the message that triggers the rule."""
    templates = templates_in(dict(chosen.entries).get("topics", ()))
    return bool(templates) and all(template.names("topic") for template in templates)


def unstored_names(rule: Rule) -> Iterator[tuple[str, Place]]:
    """Yield which names filters of a rule ask for that are stored only with a plugin for fedmsg.

    They are ``users``, ``agents`` or ``packages``, each with its place.
    """
    for criterion in backend_criteria(rule.criteria):
        if not isinstance(criterion, PastMessages):
            continue
        chosen = criterion.filter
        for key, entry in chosen.entries:
            kind = key.removeprefix("not_")
            if kind == "packages" or (kind in _PEOPLE and not _may_have_users(chosen, rule)):
                yield kind, next((each.place for each in templates_in(entry)), chosen.place)


def _may_have_users(chosen: Filter, rule: Rule) -> bool:
    """Return True if fedmsg itself names the users of some messages that a filter selects."""
    entries = [entry for key, entry in chosen.entries if key in ("topics", "categories")]
    templates = [template for entry in entries for template in templates_in(entry)]
    if templates and not any(template.paths for template in templates):
        return any(may_name_users(template.text) for template in templates)
    required = required_names(rule.trigger) or ()
    names = (each.name if isinstance(each, Category) else each.suffix for each in required)
    return any(map(may_name_users, names))


def _has_any(check: Check[Any]) -> bool:
    return isinstance(check, AnyOf) or any(map(_has_any, operands(check)))
