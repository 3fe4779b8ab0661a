"""Rules about the badges that somebody holds.

Those that ask for nothing else need no trigger: they are judged when somebody is awarded a badge,
for them. Whatever the order of awards, everybody ends with the same badges, as more badges never
make such criteria false.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from fedbadges.errors import Place, Problem
from fedbadges.messages import Message
from fedbadges.rules.criteria import Question, backend_criteria
from fedbadges.rules.held_badges import HELD, BadgeName, Held, asks_for_badges
from fedbadges.rules.rule import Rule

_NO_MESSAGE = Message("", {}, 0.0)


def asks_for_numbers(rule: Rule) -> bool:
    """Return True if the criteria of a rule ask for badges that they do not name."""
    criteria = filter(asks_for_badges, backend_criteria(rule.criteria))
    return any(not any(criterion.badge_names()) for criterion in criteria)


def named_badges(rule: Rule) -> Iterator[BadgeName]:
    """Yield the badges that the criteria of a rule name."""
    for criterion in backend_criteria(rule.criteria):
        if asks_for_badges(criterion):
            yield from criterion.badge_names()


def earned_by_holding(
    rules: Iterable[Rule],
    username: str,
    held: Held,
    allows: Callable[[Rule], bool] = lambda rule: True,
) -> list[Rule]:
    """Return the rules, of these without a trigger, whose badge somebody earns by what they hold.

    Left out are badges that they hold, and what is not allowed. What they earn may earn them more.
    """
    question = Question(_NO_MESSAGE, username, {(HELD, username): held})
    return [
        rule
        for rule in rules
        if rule.badge.id not in held and allows(rule) and rule.criteria.holds(question)
    ]


def find_cycles(rules: Iterable[Rule]) -> tuple[set[str], list[Problem]]:
    """Return the badges whose rules need each other, and a mistake for each of them."""
    needs: dict[str, dict[str, Place]] = defaultdict(dict)
    places: dict[str, Place] = {}
    for rule in rules:
        places[rule.badge.id] = rule.place
        for name in named_badges(rule):
            needs[rule.badge.id].setdefault(name.badge_id, name.place)
    problems: list[Problem] = []
    in_cycles: set[str] = set()
    for badge in needs:
        way = _way(badge, needs)
        if not way:
            continue
        in_cycles.add(badge)
        steps = [f"'{one}' asks for '{two}' at {needs[one][two]}" for one, two in way]
        text = f"the criteria of badges may not ask for each other: {', '.join(steps)}"
        problems.append(Problem(needs[badge][way[0][1]], text))
    return in_cycles, problems


def _way(badge: str, needs: Mapping[str, Mapping[str, Place]]) -> list[tuple[str, str]]:
    """Return the shortest way by which a badge needs itself, step by step, if it does."""
    came_from: dict[str, str] = {}
    coming = [badge]
    for current in coming:
        for needed in needs.get(current, ()):
            if needed == badge:
                way = [(current, badge)]
                while current != badge:
                    way.insert(0, (came_from[current], current))
                    current = came_from[current]
                return way
            if needed not in came_from:
                came_from[needed] = current
                coming.append(needed)
    return []
