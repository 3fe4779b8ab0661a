"""What one rule file says: a rule, or a series of badges that differ in what must be reached."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tahrir_api.utils import convert_name_to_id

from fedbadges.errors import RuleError
from fedbadges.rules import dialects, triggers
from fedbadges.rules.criteria import (
    DEFAULT_BACKEND,
    QUESTION_KEYS,
    Backends,
    Criteria,
    criteria_definitions,
    parse_criteria,
)
from fedbadges.rules.dialect2 import rule as dialect2
from fedbadges.rules.grammar import (
    DIALECT,
    Fields,
    FieldSpec,
    Kind,
    Schema,
    record_of,
    ref,
    several,
)
from fedbadges.rules.naming import make_naming
from fedbadges.rules.parsing import Problems, each_item
from fedbadges.rules.rule import (
    METADATA,
    SERIES,
    TAGS,
    WITHOUT_TRIGGER,
    Rule,
    check_trigger,
    further_keys,
    make_rule,
    parse_rule,
    rule_kind,
    with_conversions,
)
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.text import quoted

#: A series has no more badges, as its criteria are parsed for each of them.
MOST_BADGES = 50

#: Below these keys are questions that may be asked with the threshold.
_COMBINING = ("all", "any", DEFAULT_BACKEND)

#: The condition of a question that has none of its own.
_REACHED = "greater than or equal to"

_BADGES, _THRESHOLD = "badges", "threshold"


def parse_rules(
    document: MappingNode,
    backends: Backends,
    problems: Problems,
    dialect: str = dialects.OWN,
) -> tuple[Rule, ...]:
    """Parse a file's mapping into its rules; raise RuleError with everything that is wrong.

    A file with ``badges`` is a series, and gives a rule for each of them. ``dialect`` is that of a
    file in which nothing tells its dialect.
    """
    found = dialects.dialect_of(document, dialect, problems)
    if found is None:
        raise RuleError(problems)
    if found == dialects.OF_2:
        return (dialect2.parse_rule(document, backends, problems),)
    if document.get(_BADGES) is None:
        return (parse_rule(document, backends, problems),)
    whole = _kind_of_series().read(_without_name(document, problems), "a series", problems)
    assert whole is not None
    naming = make_naming(whole, problems)
    badges: Sequence[Fields] = whole.values.get(_BADGES, ())
    _check_badges(whole, badges, problems)
    criteria = _criteria(whole, badges, backends, problems)
    check_trigger(document, whole, next(iter(criteria), None), "a series", problems)
    if problems:  # what is wrong with the criteria is found for each badge
        raise RuleError(problems)
    common = {key: value for key, value in whole.values.items() if key != _BADGES}
    return tuple(
        make_rule(
            badge.place,
            {
                **common,
                **badge.values,
                "criteria": judged,
                _THRESHOLD: badge.values[_THRESHOLD].value,
            },
            naming,
        )
        for badge, judged in zip(badges, criteria, strict=True)
    )


def _without_name(document: MappingNode, problems: Problems) -> MappingNode:
    """Return a series without a name beside its badges, which is a mistake."""
    entries = tuple(entry for entry in document.entries if entry[0].value != "name")
    if len(entries) < len(document.entries):
        key = next(key for key, _ in document.entries if key.value == "name")
        problems.add(key.place, "each badge of a series has its 'name' in the list of 'badges'")
    return replace(document, entries=entries)


def file_schema(backends: Backends) -> Schema:
    """Return a JSON Schema of rule files with the criteria of these backends."""
    return {
        "$schema": DIALECT,
        "title": "A rule of fedbadges, or a series",
        "type": "object",
        "if": {"required": [_BADGES]},
        "then": ref("series"),
        "else": dialects.by_dialect(ref("rule"), ref("rule-of-2")),
        "$defs": {
            "rule": rule_kind(backends).schema,
            "rule-of-2": dialect2.RULE_KIND.schema,
            "series": _kind_of_series().schema,
            **triggers.DEFINITIONS,
            **criteria_definitions(backends),
            "no-trigger": WITHOUT_TRIGGER,
        },
    }


def _read_threshold(node: Node, what: str, problems: Problems) -> ScalarNode | None:
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(node, ScalarNode) and type(value) in (int, float) and value == value:
        return node
    problems.add(node.place, f"{what} is a number that must be reached, such as 10")
    return None


#: Keys that a badge may have, or else the series.
_EITHER = {
    key: replace(spec, required=False)
    for key, spec in {**METADATA, "tags": TAGS}.items()
    if key != "name"
}
_BADGE = record_of(
    "a badge of a series",
    {
        "name": METADATA["name"],
        _THRESHOLD: FieldSpec(
            Kind(_read_threshold, {"type": "number"}),
            "What must be reached: greater than or equal to this is the condition.",
            True,
        ),
        **_EITHER,
    },
)
_LIST_OF_BADGES = several(_BADGE, "a badge")


def _read_badges(node: Node, what: str, problems: Problems) -> tuple[Fields, ...] | None:
    if isinstance(node, SequenceNode) and len(node.items) > MOST_BADGES:
        text = f"{what} takes at most {MOST_BADGES}, and these are {len(node.items)}"
        problems.add(node.items[MOST_BADGES].place, text)
        return None
    found: list[Fields] = []  # also beside what is no badge

    def read(item: Node) -> bool | None:
        badge = _BADGE.read(item, "a badge", problems)
        found.extend(filter(None, [badge]))
        return None if badge is None else True

    each_item(node, _BADGES, read, problems)
    return tuple(found)


def _kind_of_series() -> Kind[Fields]:
    criteria: Kind[Any] = Kind(lambda node, what, problems: node, ref("series-criteria"))
    keys = {
        _BADGES: FieldSpec(
            Kind(_read_badges, {**_LIST_OF_BADGES.schema, "maxItems": MOST_BADGES}),
            "The badges of the series, the easiest first: what differs from one to the next.",
            True,
        ),
        **_EITHER,
        **further_keys(criteria),
        "criteria": FieldSpec(criteria, "What must hold, without the thresholds.", True),
        "series": replace(SERIES, required=True),
    }
    return with_conversions(record_of("a series", keys))


def _check_badges(whole: Fields, badges: Sequence[Fields], problems: Problems) -> None:
    """Report what the badges lack, thresholds that do not rise, and names that stand twice."""
    for badge in badges:
        for key in METADATA:
            if key != "name" and key not in whole.places and key not in badge.places:
                text = f"missing key '{key}' in a badge of a series, and in the series"
                problems.add(badge.place, text)
    _check_thresholds(badges, problems)
    _check_names(badges, problems)


def _check_thresholds(badges: Sequence[Fields], problems: Problems) -> None:
    nodes = [badge.values[_THRESHOLD] for badge in badges if _THRESHOLD in badge.values]
    for before, node in itertools.pairwise(nodes):
        if node.value <= before.value:
            text = (
                f"thresholds rise from badge to badge, and {node.text} is not greater than "
                f"{before.text} in line {before.place.line}"
            )
            problems.add(node.place, text)


def _check_names(badges: Sequence[Fields], problems: Problems) -> None:
    lines: dict[str, int] = {}
    for badge in badges:
        if "name" in badge.values:
            badge_id, place = convert_name_to_id(badge.values["name"]), badge.places["name"]
            first = lines.setdefault(badge_id, place.line)
            if first != place.line:
                text = f"the badge {quoted(badge_id)} stands in line {first} already"
                problems.add(place, text)


def _criteria(
    whole: Fields, badges: Sequence[Fields], backends: Backends, problems: Problems
) -> list[Criteria | None]:
    """Return the criteria of each badge, with its threshold in the questions."""
    node = whole.values.get("criteria")
    if node is None:
        return []
    thresholds = [badge.values[_THRESHOLD] for badge in badges if _THRESHOLD in badge.values]
    if not thresholds:  # the mistakes in the criteria are found without them
        thresholds = [ScalarNode(node.place, 1, "1", literal=False)]
    found: list[Criteria | None] = []
    for threshold in thresholds:
        reaching = _with_threshold(node, threshold)
        if reaching == node:
            problems.add(
                whole.places["criteria"],
                "nothing here is compared with the thresholds of the badges; leave 'condition' "
                "out of the question that is meant",
            )
        found.append(parse_criteria(backends, reaching, problems))
    return found


def _with_threshold(node: Node, threshold: ScalarNode) -> Node:
    """Return criteria whose questions without a condition must reach the threshold.

    Below ``not`` a question has its own, as what must not be reached is no threshold.
    """
    if isinstance(node, SequenceNode):
        return replace(node, items=tuple(_with_threshold(item, threshold) for item in node.items))
    if not isinstance(node, MappingNode):
        return node
    keys = {key.text for key, _ in node.entries}
    if keys & set(QUESTION_KEYS):
        return node if "condition" in keys else _asking(node, threshold)
    return replace(
        node,
        entries=tuple(
            (key, _with_threshold(value, threshold) if key.text in _COMBINING else value)
            for key, value in node.entries
        ),
    )


def _asking(question: MappingNode, threshold: ScalarNode) -> MappingNode:
    place = threshold.place
    key = ScalarNode(place, _REACHED, _REACHED, literal=False)
    name = ScalarNode(place, "condition", "condition", literal=False)
    condition = MappingNode(place, ((key, threshold),))
    return replace(question, entries=(*question.entries, (name, condition)))
