"""What would follow from awards that are explained, and not made."""

from collections import defaultdict
from collections.abc import Iterator, Set

from fedbadges.engine.tracing import Tracer
from fedbadges.messages import Position
from fedbadges.rules.badge_rules import earned_by_holding
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule


def following_awards(
    tracer: Tracer, rules: RuleSet, position: Position
) -> tuple[tuple[str, str], ...]:
    """Return which badges those get as well who would be awarded one, as (name, badge id).

    Raises Unavailable.
    """
    if not rules.untriggered:
        return ()
    by_person: dict[str, list[str]] = defaultdict(list)
    for name, badge_id in sorted(tracer.awarded):
        by_person[name].append(badge_id)
    return tuple(
        (name, badge_id)
        for name, awarded in by_person.items()
        for badge_id in _following(tracer, rules, position, name, awarded)
    )


def _following(
    tracer: Tracer, rules: RuleSet, position: Position, name: str, awarded: list[str]
) -> Iterator[str]:
    tags = {rule.badge.id: frozenset(rule.badge.tags or ()) for rule in rules}
    held: dict[str, Set[str]] = {**tracer.tahrir.held_by(name)}
    held |= {badge_id: tags.get(badge_id, frozenset()) for badge_id in awarded}
    known = tracer.tahrir.holdings([name], [rule.badge.id for rule in rules.untriggered])

    def allows(rule: Rule) -> bool:
        return known.allows(name, rule.badge.id, position)

    while found := earned_by_holding(rules.untriggered, name, held, allows):
        for rule in found:
            held[rule.badge.id] = tags[rule.badge.id]
            yield rule.badge.id
