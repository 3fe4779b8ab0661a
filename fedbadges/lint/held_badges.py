"""Badges that criteria name and that nobody can hold."""

from collections.abc import Callable, Collection, Iterable, Iterator

from fedbadges.lint.findings import Finding
from fedbadges.rules.badge_rules import named_badges
from fedbadges.rules.rule import Rule
from fedbadges.util.text import near_word, quoted

#: Returns the ids of the badges that tahrir has, or None where that is not known.
BadgesOf = Callable[[], Collection[str] | None]


def unknown_badge(rules: Iterable[Rule], tahrir_badges: BadgesOf) -> Iterator[Finding]:
    """Find badges that criteria name, and that neither a rule nor tahrir has."""
    known = {rule.badge.id for rule in rules}
    named = [name for rule in rules for name in named_badges(rule)]
    missing = [name for name in named if name.badge_id not in known]
    if not missing:
        return
    others = tahrir_badges()
    has_none = "no rule that was checked has" if others is None else "neither a rule nor tahrir has"
    known.update(others or ())
    for name in missing:
        if name.badge_id not in known:
            meant = near_word(name.badge_id, known)
            hint = "" if meant is None else f"; did you mean '{meant}'?"
            text = f"{has_none} the badge {quoted(name.badge_id)}{hint}"
            yield Finding(name.place, "unknown-badge", text)
