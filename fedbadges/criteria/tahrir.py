"""The criteria backend ``tahrir``: which badges the candidate holds."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fedbadges.config.settings import Settings
from fedbadges.errors import Place
from fedbadges.rules.conditions import CONDITION_KIND, Condition
from fedbadges.rules.criteria import Criteria, Criterion, Question
from fedbadges.rules.grammar import (
    TEXT,
    Fields,
    FieldSpec,
    Kind,
    Schema,
    combined,
    record_of,
    ref,
)
from fedbadges.rules.held_badges import BACKEND, HELD, BadgeName, Held
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not, leaves, operands, parse_combined
from fedbadges.rules.parsing import Problems, as_text, each_item
from fedbadges.rules.yaml_document import MappingNode, Node, SequenceNode
from fedbadges.tahrir.database import Tahrir

#: Returns what somebody holds; raises Unavailable while nobody answers.
HeldBy = Callable[[str], Held]

#: How many somebody has, and how many they need.
HowFar = tuple[int, int]

_HOLDS, _TAGS, _CONDITION = "holds", "badges with tags", "condition"


def how_far(check: Check[Any], of_leaf: Callable[[Any], HowFar]) -> HowFar:
    """Return how far somebody is with checks: all those of ``all``, and the nearest of ``any``."""
    found = [how_far(part, of_leaf) for part in operands(check)]
    if not found:
        return of_leaf(check)
    if isinstance(check, AnyOf):
        return max(found, key=lambda each: each[0] / max(each[1], 1))
    # More than is needed of one makes up for nothing of another.
    return sum(min(each) for each in found), sum(each[1] for each in found)


@dataclass(frozen=True)
class HasBadge:
    """Holds of badges, by their ids, if one of them is this one."""

    badge_id: str
    place: Place = field(compare=False)

    def holds(self, subject: Set[str]) -> bool:
        """Return True if the badge is among these."""
        return self.badge_id in subject


@dataclass(frozen=True)
class HasTag:
    """Holds of the tags of a badge if one of them is this one."""

    tag: str
    place: Place = field(compare=False)

    def holds(self, subject: Set[str]) -> bool:
        """Return True if the tag is among these."""
        return self.tag in subject


class _AboutBadges:
    """What both criteria have in common."""

    # What came before the message is handled by the time that datanommer has it.
    needs_history = True
    names_recipient = True

    held_by: HeldBy

    def _held(self, subject: Question) -> Held:
        """Return what the candidate holds, asked once for all rules that a message triggers."""
        name = subject.recipient
        if name is None:
            return {}
        found: Held = subject.once((HELD, name), lambda: self.held_by(name))
        return found


@dataclass(frozen=True)
class HoldsBadges(_AboutBadges):
    """A criterion that the candidate holds badges: one, or operators over several."""

    badges: Check[Set[str]]
    held_by: HeldBy = field(compare=False, repr=False)

    @property
    def only_grows(self) -> bool:
        """Return True if more badges cannot make it false."""
        return not _has_not(self.badges)

    def holds(self, subject: Question) -> bool:
        """Return True if the candidate holds the badges."""
        held = self._held(subject)
        for badge in leaves(self.badges):
            subject.tell(f"holds {badge.badge_id}", badge.badge_id in held)
        return self.badges.holds(held.keys())

    def how_far(self, held: Held) -> HowFar:
        """Return how many of the badges that it takes somebody holds."""
        return how_far(self.badges, lambda badge: (int(badge.holds(held.keys())), 1))

    def badge_names(self) -> Iterator[BadgeName]:
        """Yield the badges that it names."""
        return (BadgeName(badge.badge_id, badge.place) for badge in leaves(self.badges))


@dataclass(frozen=True)
class CountsBadges(_AboutBadges):
    """A criterion over the number of badges with some tags that the candidate holds."""

    tags: Check[Set[str]]
    condition: Condition
    held_by: HeldBy = field(compare=False, repr=False)

    @property
    def only_grows(self) -> bool:
        """Return True if more badges cannot make it false."""
        return self.condition.needed is not None

    def holds(self, subject: Question) -> bool:
        """Return True if the number satisfies the condition."""
        number = sum(self.tags.holds(tags) for tags in self._held(subject).values())
        subject.tell("value", number)
        return self.condition.holds(number)

    def how_far(self, held: Held) -> HowFar:
        """Return how many badges count, and how many must; of 0 it is not known how many."""
        number = sum(self.tags.holds(tags) for tags in held.values())
        return number, self.condition.needed or 0

    def badge_names(self) -> Iterator[BadgeName]:
        """Yield nothing: it names none."""
        return iter(())


def _has_not(check: Check[Any]) -> bool:
    return isinstance(check, Not) or any(map(_has_not, operands(check)))


@dataclass(frozen=True)
class _Names:
    """How names of badges or tags are read: one, a list of all, or operators over these."""

    definition: str
    what: str
    make: Callable[[str, Place], Check[Set[str]]]

    def read(self, node: Node, key: str, problems: Problems) -> Check[Set[str]] | None:
        """Read what stands below a key; report what is wrong."""

        def parse(part: Node, problems: Problems) -> Check[Set[str]] | None:
            return self.read(part, key, problems)

        if isinstance(node, SequenceNode):
            name = key.strip("'")
            parts = each_item(node, name, lambda item: parse(item, problems), problems)
            return None if parts is None else AllOf(parts, node.place)
        if isinstance(node, MappingNode):
            return parse_combined(node, key, {}, parse, problems)
        text = as_text(node, self.what, problems)
        return None if text is None else self.make(text.text.strip(), text.place)

    @property
    def kind(self) -> Kind[Check[Set[str]]]:
        """Return the kind of what stands below a key."""
        return Kind(self.read, ref(self.definition))

    @property
    def schema(self) -> Schema:
        """Return the definition of a JSON Schema."""
        items = {"type": "array", "items": ref(self.definition), "minItems": 1}
        return combined({"anyOf": [TEXT, items]}, self.definition)


_BADGES = _Names("held-badges", "a badge", HasBadge)
# tahrir stores tags in lower case.
_TAGGED = _Names("badge-tags", "a tag", lambda tag, place: HasTag(tag.lower(), place))

_QUESTION = record_of(
    f"'{BACKEND}'",
    {
        _HOLDS: FieldSpec(_BADGES.kind, "Holds these badges, by their ids; all of a list."),
        _TAGS: FieldSpec(_TAGGED.kind, "How many badges with these tags; with all of a list."),
        _CONDITION: FieldSpec(CONDITION_KIND, "What their number must satisfy."),
    },
    full=True,
)


class HeldBadges:
    """The criteria backend ``tahrir``; ``held_by`` answers in place of tahrir's database."""

    #: What a rule may say, for editors.
    schema: ClassVar[Schema] = {
        "description": "Which badges the candidate holds, however they got them.",
        **_QUESTION.schema,
        "oneOf": [
            {"required": [_HOLDS], "maxProperties": 1},
            {"required": [_TAGS, _CONDITION], "maxProperties": 2},
        ],
        "$defs": {each.definition: each.schema for each in (_BADGES, _TAGGED)},
    }

    def __init__(self, settings: Settings, held_by: HeldBy | None = None) -> None:
        self._held_by = held_by or Tahrir(settings).held_by

    def parse(self, node: Node, problems: Problems) -> Criterion | None:
        """Parse ``holds``, or ``badges with tags`` and ``condition``; None if anything is wrong."""
        before = len(problems)
        found = _QUESTION.read(node, BACKEND, problems)
        if found is not None and len(problems) == before:
            _check_together(found, problems)
        if found is None or len(problems) > before:
            return None
        values = found.values
        if _HOLDS in values:
            return HoldsBadges(values[_HOLDS], self._held_by)
        return CountsBadges(values[_TAGS], values[_CONDITION], self._held_by)


def _check_together(found: Fields, problems: Problems) -> None:
    """Report keys that do not go together."""
    places = found.places
    if _HOLDS in places:
        for other in (_TAGS, _CONDITION):
            if other in places:
                text = f"'{other}' stands beside '{_HOLDS}'; combine two with 'all' or 'any'"
                problems.add(places[other], text)
    elif _TAGS not in places:
        text = f"'{BACKEND}' takes '{_HOLDS}', or '{_TAGS}' with a 'condition'"
        problems.add(found.place, text)
    elif _CONDITION not in places:
        text = f"'{_TAGS}' needs a 'condition', such as 'greater than or equal to: 5'"
        problems.add(places[_TAGS], text)


def held_of_needed(criteria: Criteria, held: Held) -> HowFar:
    """Return how far somebody is with criteria that ask for badges alone."""
    return how_far(criteria, lambda part: part.criterion.how_far(held))
