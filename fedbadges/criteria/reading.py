"""What rules read: values of the messages that trigger them, and names of past messages."""

from collections.abc import Iterator
from typing import NamedTuple

from fedbadges.accounts.usernames import may_name_users
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.errors import Place
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import Filter, FilterEntry, templates_in
from fedbadges.rules.operators import leaves
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import RECIPIENT, TemplatePath
from fedbadges.rules.triggers import Category, LambdaTrigger, required_names

#: The keys of filters that name people.
_OF_PEOPLE = ("users", "agents")


class Read(NamedTuple):
    """A path that a rule reads from a message, and the part that reads it.

    ``step`` is the key of the rule that the part is, or stands below.
    """

    step: str
    part: str
    path: TemplatePath


def paths_read(rule: Rule) -> Iterator[Read]:
    """Yield every path that a template of a rule reads from the message."""
    for leaf in leaves(rule.trigger):
        if isinstance(leaf, LambdaTrigger):
            yield from (Read("trigger", "trigger", path) for path in leaf.expression.paths)
    if rule.recipient is not None:
        yield from (Read("recipient", "recipient", path) for path in rule.recipient.template.paths)
    for criterion in backend_criteria(rule.criteria):
        if not isinstance(criterion, PastMessages):
            continue
        for _, entry in criterion.filter.entries:
            paths = (path for path in _paths_in(entry) if path.dotted != RECIPIENT)
            yield from (Read("criteria", "filter", path) for path in paths)
        expression = criterion.operation.expression
        if expression is not None:
            yield from (Read("criteria", "operation", path) for path in expression.paths)


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
            if kind == "packages" or (kind in _OF_PEOPLE and not _may_have_users(chosen, rule)):
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


def _paths_in(entry: FilterEntry) -> Iterator[TemplatePath]:
    if isinstance(entry, Expression):
        yield from entry.paths
    for template in templates_in(entry):
        yield from template.paths
