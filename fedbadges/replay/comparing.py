"""Two versions of rules over the same history: what each awards."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from fedbadges.config.settings import Settings
from fedbadges.engine.engine import Earned
from fedbadges.replay.replay import Replay
from fedbadges.rules.criteria import Backends, PlacedCriterion
from fedbadges.rules.held_badges import BACKEND
from fedbadges.rules.operators import leaves
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Holdings

#: What stands before the id of a badge while both versions are replayed together.
_OLD, _NEW = "old:", "new:"
_LENGTH = len(_OLD)


class RuleComparison:
    """Replays the history for two versions of rules, which are loaded with its ``backends``.

    Both are replayed at once, unless one asks for badges that people hold: then one after the
    other. Who opted out, and from whom badges were revoked, is as in tahrir, if there is one.
    """

    def __init__(self, settings: Settings) -> None:
        source = _Versions(settings) if settings.tahrir_url.database else None
        self._replay = Replay(settings, source)
        self._passes = self._finished = 0

    @property
    def backends(self) -> Backends:
        """Return the criteria backends of the rules."""
        return self._replay.backends

    @property
    def reached(self) -> tuple[int, int]:
        """Return how many messages were read, and of how many."""
        total = self._replay.total
        return self._finished * total + self._replay.done, self._passes * total

    def run(self, old: Sequence[Rule], new: Sequence[Rule]) -> Iterator[tuple[bool, Earned]]:
        """Yield what was earned, each with whether that is by the new version.

        Raises Unavailable.
        """
        if any(map(_asks_for_badges, (*old, *new))):
            self._passes = 2
            yield from ((False, earned) for earned in self._replay.run(old, measure=False))
            self._finished = 1
            yield from ((True, earned) for earned in self._replay.run(new, measure=False))
            return
        self._passes = 1
        both = [*_marked(old, _OLD), *_marked(new, _NEW)]
        for earned in self._replay.run(both, measure=False):
            marked = earned.rule.badge.id
            yield marked.startswith(_NEW), replace(earned, rule=_with_id(earned.rule, _own(marked)))


class _Versions(Tahrir):
    """A tahrir that knows the badges of both versions under their marked ids."""

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Return who opted out, and who holds or lost which badges."""
        marked: dict[str, list[str]] = {}
        for badge_id in badge_ids:
            marked.setdefault(_own(badge_id), []).append(badge_id)
        found = super().holdings(usernames, marked)
        return Holdings(
            {
                (name, each): when
                for (name, own), when in found.held.items()
                for each in marked[own]
            },
            found.opted_out,
            {
                (name, each): lost
                for (name, own), lost in found.revoked.items()
                for each in marked[own]
            },
        )


def _asks_for_badges(rule: Rule) -> bool:
    """Return True if a rule asks who holds badges, which the versions must not mix up."""
    return any(
        isinstance(leaf, PlacedCriterion) and leaf.backend == BACKEND
        for leaf in leaves(rule.criteria)
    )


def _marked(rules: Iterable[Rule], mark: str) -> Iterator[Rule]:
    return (_with_id(rule, f"{mark}{rule.badge.id}") for rule in rules)


def _own(badge_id: str) -> str:
    """Return the id of a badge without its mark."""
    return badge_id[_LENGTH:] if badge_id.startswith((_OLD, _NEW)) else badge_id


def _with_id(rule: Rule, badge_id: str) -> Rule:
    return replace(rule, badge=replace(rule.badge, id=badge_id))
