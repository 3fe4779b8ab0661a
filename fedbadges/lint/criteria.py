"""Criteria that do not depend on who would get the badge, or are those of another badge."""

import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from fedbadges.accounts.usernames import has_no_candidates
from fedbadges.criteria.datanommer import PastMessages, past_messages
from fedbadges.criteria.reading import unstored_names
from fedbadges.lint.findings import Finding
from fedbadges.lint.missing_path import most_names
from fedbadges.lint.samples import Samples
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import Criterion, backend_criteria
from fedbadges.rules.dialects import OF_2
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import paths_in, templates_in
from fedbadges.rules.operators import operands
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import RECIPIENT, Template
from fedbadges.util.text import join_quoted

#: Keys of filters whose values say nothing of a person, wherever they come from.
_IMPERSONAL = ("topics", "not_topics", "categories", "not_categories", "start", "end")

#: Comparisons with a whole number, and the equal one with the next number.
_STRICT = {operator.gt: (operator.ge, 1), operator.lt: (operator.le, -1)}


#: Names of several people, beside those that end in 's'; and ends of names of one thing.
_GROUPS = ("people", "everybody", "everyone", "team", "crew", "staff")
_SINGULAR = ("ss", "us", "is", "as")


def same_for_all(rule: Rule) -> Iterator[Finding]:
    """Find criteria that hold for everybody whom a message names, or for nobody."""
    questions = [each for each in backend_criteria(rule.criteria) if not _is_formality(each)]
    if not questions or any(map(_is_personal, questions)):
        return
    yield Finding(
        rule.criteria.place,
        "same-for-all",
        "these criteria do not depend on who would get the badge: everybody whom the message "
        f"names gets it, or nobody; to ask about each, write {_of_each(rule, 'usernames')}",
    )


def _of_each(rule: Rule, key: str) -> str:
    """Return how a filter asks about each candidate."""
    if rule.dialect == OF_2:
        return f"{key.replace('usernames', 'users')}: [recipient]"
    return key.replace("users", "usernames") + ': ["%(recipient)s"]'


def no_plugin(rule: Rule) -> Iterator[Finding]:
    """Find a rule that names nobody; the daemon logs the same at its start."""
    if has_no_candidates(rule):
        yield Finding(
            rule.place,
            "no-plugin",
            "without a 'recipient' a plugin for fedmsg.meta must say who gets the badge, and none "
            "is installed here",
        )


def nothing_stored(rule: Rule) -> Iterator[Finding]:
    """Find filters by names that the daemon does not store; it logs the same at its start."""
    for kind, place in unstored_names(rule):
        yield Finding(
            place,
            "nothing-stored",
            f"the daemon stores no {kind} for this filter to find: 'badges.record_messages' is on, "
            "and no plugin for fedmsg.meta is installed here",
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
    personal = (entry for key, entry in criterion.filter.entries if key not in _IMPERSONAL)
    return any(
        isinstance(entry, Expression) or any(each.paths for each in templates_in(entry))
        for entry in personal
    )


def counted_together(samples: Iterable[Samples], rule: Rule) -> Iterator[Finding]:
    """Find filters by all the people whom the recipient names, instead of each alone."""
    if rule.recipient is None:
        return
    wanted = [template.parts for template in rule.recipient.templates]
    entries = [
        (key, entry, [each for each in templates_in(entry) if each.parts in wanted])
        for criterion in backend_criteria(rule.criteria)
        if isinstance(criterion, PastMessages)
        for key, entry in criterion.filter.entries
    ]
    # Beside them in one list, the candidate makes no difference.
    alone = (paths_in(entry) for _, entry, same in entries if not same)
    if any(path.dotted == RECIPIENT for paths in alone for path in paths):
        return
    for key, _, same in entries:
        if key in ("users", "agents") and same and _is_several(samples, rule, same[0]):
            path = ", ".join(each.dotted for each in same[0].paths)
            yield Finding(
                same[0].place,
                "counted-together",
                f"all whom {path} names are counted together, so a newcomer gets the badge for "
                f"what others did; to count for each alone, write {_of_each(rule, key)}",
            )


def _is_several(samples: Iterable[Samples], rule: Rule, template: Template) -> bool:
    """Return True if a template seems to name several people, or did so in a message."""
    paths = template.paths
    if len(template.parts) > 1:
        return False
    last = paths[0].dotted.rpartition(".")[2].lower()
    if last in _GROUPS or (last.endswith("s") and not last.endswith(_SINGULAR)):
        return True
    return any(most_names(each, rule, paths[0]) > 1 for each in samples)


def not_converted(rule: Rule) -> Iterator[Finding]:
    """Find filters by a name as the message has it, where the recipient is another kind of name."""
    if rule.recipient is None or not rule.recipient.conversions:
        return
    wanted = [template.parts for template in rule.recipient.templates]
    keys = sorted(rule.recipient.conversions)
    for criterion in backend_criteria(rule.criteria):
        entries = criterion.filter.entries if isinstance(criterion, PastMessages) else ()
        for key, entry in entries:
            if key.removeprefix("not_") not in ("users", "agents"):
                continue
            if any(path.dotted == RECIPIENT for path in paths_in(entry)):
                continue
            for template in templates_in(entry):
                if template.parts in wanted:
                    yield Finding(
                        template.place,
                        "not-converted",
                        f"{join_quoted(keys)} converts the recipient, and not what this filter "
                        f"looks for; to look for the account, write {_of_each(rule, key)}",
                    )


def same_again(rules: Iterable[Rule]) -> Iterator[Finding]:
    """Find rules with the trigger, the criteria and the recipient of one that comes before."""
    known: dict[Any, list[tuple[Any, Rule]]] = defaultdict(list)
    for rule in rules:
        seen, meaning = known[rule.trigger], (_meaning(rule.criteria), rule.naming)
        first = next((other for theirs, other in seen if theirs == meaning), None)
        seen.append((meaning, rule))
        if first is not None:
            yield Finding(
                rule.criteria.place,
                "same-again",
                f"this is given for just what '{first.badge.id}' is given for, at "
                f"{first.criteria.place}",
            )


def _meaning(criteria: Any) -> Any:
    """Return something that is equal for criteria that are equal but for how they are written."""
    parts = operands(criteria)
    if parts:
        return type(criteria), [_meaning(part) for part in parts]
    question = past_messages(criteria)
    if question is None:
        return criteria
    chosen, condition = question.filter, question.condition
    wanted: object = condition
    if isinstance(condition, Comparison):
        compare, threshold = condition.compare, condition.threshold
        if compare in _STRICT and isinstance(threshold, int):
            compare, step = _STRICT[compare]
            threshold += step
        wanted = compare, threshold
    return dict(chosen.entries), chosen.pages, question.operation, wanted
