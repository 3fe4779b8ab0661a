"""The index of rules by topic, for finding the few that a message can trigger."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from fedbadges.messages import Message
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, required_names
from fedbadges.util.caching import BoundedDict

#: For how many topics the rules are cached.
_MOST_TOPICS = 10_000


class RuleSet:
    """The rules in force; immutable, new rules make a new set."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        #: Those that are judged when somebody is awarded a badge.
        self.untriggered = tuple(rule for rule in self.rules if not rule.has_trigger)
        self._by_topic: dict[str, list[int]] = defaultdict(list)
        self._by_category: dict[str, list[int]] = defaultdict(list)
        self._always: list[int] = []
        self._most_parts = 0
        self._known: BoundedDict[str, tuple[Rule, ...]] = BoundedDict(_MOST_TOPICS)
        for number, rule in enumerate(self.rules):
            names = required_names(rule.trigger)
            if names is None:
                self._always.append(number)
            for name in names or ():
                if isinstance(name, Category):
                    self._by_category[name.name].append(number)
                else:
                    self._by_topic[name.suffix].append(number)
                    self._most_parts = max(self._most_parts, name.suffix.count(".") + 1)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def concerned(self, message: Message) -> tuple[Rule, ...]:
        """Return the rules whose trigger can hold of ``message``, in the order of the set."""
        known = self._known.get(message.topic)
        if known is not None:
            return known
        numbers = set(self._always)
        if self._by_category:
            numbers.update(self._by_category.get(message.category, ()))
        # The topic and its ends, in whole parts, no longer than the longest in a rule.
        parts = message.topic.rsplit(".", self._most_parts)
        for start in range(len(parts)):
            numbers.update(self._by_topic.get(".".join(parts[start:]), ()))
        self._known[message.topic] = found = tuple(self.rules[each] for each in sorted(numbers))
        return found
