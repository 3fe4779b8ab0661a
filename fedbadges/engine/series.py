"""Which badges are a series: "so many or more" of the same, or what rules call one."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import takewhile

from tahrir_api.utils import convert_name_to_id

from fedbadges.criteria.datanommer import past_messages
from fedbadges.engine.current_values import needed_count
from fedbadges.rules.rule import MAX_TEXT, Rule
from fedbadges.tahrir.series import BadgeSeries


def find_series(rules: Iterable[Rule]) -> list[BadgeSeries]:
    """Return the series that rules make, in the order of their names.

    Rules with the same key ``series`` are one. Of the others those are one that differ in nothing
    but how many they need; it has the words with which the names of its badges begin, or the name
    of its first badge.
    """
    named: dict[str, list[Rule]] = defaultdict(list)
    alike: dict[Hashable, list[Rule]] = defaultdict(list)
    spelled: dict[str, str] = {}
    for rule in rules:
        if rule.series is not None:
            series_id = convert_name_to_id(rule.series)
            named[spelled.setdefault(series_id, rule.series)].append(rule)
        elif (key := _key(rule)) is not None:
            alike[key].append(rule)
    found = {name: _ordered(members) for name, members in named.items()}
    taken = {convert_name_to_id(name) for name in found}
    groups = [_ordered(members) for members in alike.values()]
    # In an order of their own, so that the order of the files does not choose names.
    for members in sorted(groups, key=lambda members: members[0].badge.id):
        if len({needed_count(rule) for rule in members}) < 2:
            continue
        for name in (_common_words(members), members[0].badge.name):
            if name and convert_name_to_id(name) not in taken:
                taken.add(convert_name_to_id(name))
                found[name] = members
                break
    return [
        BadgeSeries(name, _description(members), tuple(rule.badge.id for rule in members))
        for name, members in sorted(found.items())
    ]


def _key(rule: Rule) -> Hashable | None:
    """Return what is the same for rules that differ in how many they need."""
    criterion = past_messages(rule.criteria)
    if criterion is None or needed_count(rule) is None:
        return None
    return rule.trigger, criterion.filter, criterion.operation, rule.naming


def _ordered(rules: Iterable[Rule]) -> list[Rule]:
    """Return rules by how many they need; those of which that is not known come last."""

    def order(rule: Rule) -> tuple[bool, int | float, str]:
        needed = needed_count(rule) or rule.threshold
        return needed is None, needed or 0, rule.badge.id

    return sorted(rules, key=order)


def _common_words(rules: Sequence[Rule]) -> str:
    columns = zip(*(rule.badge.name.split() for rule in rules), strict=False)
    return " ".join(words[0] for words in takewhile(lambda words: len(set(words)) == 1, columns))


def _description(rules: Sequence[Rule]) -> str:
    names = dict.fromkeys((rules[0].badge.name, rules[-1].badge.name))
    return " to ".join(names)[:MAX_TEXT]
