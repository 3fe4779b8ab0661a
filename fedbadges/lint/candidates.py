"""Rules that do not depend on who would get the badge, or do not say who that is."""

from collections.abc import Iterator

from fedbadges.accounts.usernames import has_no_candidates
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.lint.findings import Finding
from fedbadges.rules.criteria import Criterion, backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilterEntry, templates_in
from fedbadges.rules.rule import Rule

#: Keys of filters whose values say nothing of a person, wherever they come from.
_IMPERSONAL = ("topics", "not_topics", "categories", "not_categories", "start", "end")


def same_for_all(rule: Rule) -> Iterator[Finding]:
    """Find criteria that hold for everybody whom a message names, or for nobody."""
    questions = [each for each in backend_criteria(rule.criteria) if not _is_formality(each)]
    if not questions or any(map(_is_personal, questions)):
        return
    yield Finding(
        rule.criteria.place,
        "same-for-all",
        "these criteria do not depend on who would get the badge: everybody whom the message "
        'names gets it, or nobody; to ask about each, write usernames: ["%(recipient)s"]',
    )


def no_plugin(rule: Rule) -> Iterator[Finding]:
    """Find a rule that names nobody; the daemon logs the same at its start."""
    if has_no_candidates(rule):
        yield Finding(
            rule.place,
            "no-plugin",
            "without a 'recipient' a plugin for fedmsg.meta must say who gets the badge, and none "
            "is installed here",
        )


def _is_formality(criterion: Criterion) -> bool:
    """Return True if the message itself is the answer: a rule must have criteria."""
    if not isinstance(criterion, PastMessages) or criterion.operation.expression is not None:
        return False
    keys = dict(criterion.filter.entries)
    if "msg_id" in keys:
        return True
    return (
        criterion.condition.needed == 1
        and keys.keys() == {"topics"}
        and any(template.names("topic") for template in templates_in(keys["topics"]))
    )


def _is_personal(criterion: Criterion) -> bool:
    """Return True if another person, or another message, may get another answer."""
    if not isinstance(criterion, PastMessages):
        return True
    expression = criterion.operation.expression
    if expression is not None and expression.paths:
        return True
    return any(
        key not in _IMPERSONAL and _is_filled_in(entry) for key, entry in criterion.filter.entries
    )


def _is_filled_in(entry: FilterEntry) -> bool:
    return isinstance(entry, Expression) or any(each.paths for each in templates_in(entry))
