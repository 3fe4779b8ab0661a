"""A rule: what one YAML file says, parsed and immutable."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from tahrir_api.utils import convert_name_to_id

from fedbadges.errors import Place, RuleError
from fedbadges.rules import dialects, triggers
from fedbadges.rules.criteria import (
    Backends,
    Criteria,
    backend_criteria,
    criteria_definitions,
    parse_criteria,
    with_user_paths,
)
from fedbadges.rules.dialect2.reading import KEYS, make_parts
from fedbadges.rules.grammar import DIALECT, TEXT, Fields, FieldSpec, Kind, Schema, record_of, ref
from fedbadges.rules.parsing import UNSTORABLE, Problems, as_text
from fedbadges.rules.recipients import CONVERSIONS, RECIPIENT_KEYS, Recipient, make_recipient
from fedbadges.rules.triggers import Trigger, parse_trigger
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode

#: What tahrir's columns hold, in characters. An assertion's id is ``<badge> -> <person>``.
MAX_TEXT = 128
MAX_ID = MAX_TEXT - len(" -> 2147483647")


@dataclass(frozen=True)
class Badge:
    """What tahrir stores of a badge; ``tags`` is None if the rule has no such key."""

    id: str
    name: str
    description: str
    image_url: str
    discussion: str
    creator: str
    tags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rule:
    """One rule; without a ``recipient`` the usernames of the message are the candidates.

    ``series`` is the name of the series that its badge is one of, where the rule says so.
    ``dialect`` is the one that it is written in.
    """

    place: Place
    badge: Badge
    trigger: Trigger
    criteria: Criteria
    recipient: Recipient | None
    series: str | None = None
    dialect: str = dialects.OWN

    @cached_property
    def needs_history(self) -> bool:
        """Return True if its criteria look at past messages."""
        return any(each.needs_history for each in backend_criteria(self.criteria))

    @cached_property
    def names_recipient(self) -> bool:
        """Return True if its criteria are judged for each candidate separately."""
        return any(each.names_recipient for each in backend_criteria(self.criteria))


def parse_rule(
    rule: MappingNode, backends: Backends, problems: Problems, dialect: str = dialects.OWN
) -> Rule:
    """Parse a rule file's mapping; raise RuleError with everything that is wrong.

    ``dialect`` is that of a rule in which nothing tells its dialect.
    """
    found_dialect = dialects.dialect_of(rule, dialect, problems)
    if found_dialect is None:
        raise RuleError(problems)
    if found_dialect == dialects.OF_2:
        return _parse_of_2(rule, backends, problems)
    fields = _kind_of_rule(backends).read(rule, "a rule", problems)
    assert fields is not None
    recipient = make_recipient(fields, problems)
    if problems:
        raise RuleError(problems)
    found = fields.values
    criteria = found["criteria"]
    if recipient is not None:
        paths = frozenset(path.dotted for path in recipient.template.paths)
        criteria = with_user_paths(criteria, paths)
    badge = _badge_of(fields)
    return Rule(rule.place, badge, found["trigger"], criteria, recipient, found.get("series"))


def _parse_of_2(rule: MappingNode, backends: Backends, problems: Problems) -> Rule:
    """Parse a rule in the dialect of fedbadges 2.x."""
    fields = _KIND_OF_2.read(rule, "a rule", problems)
    assert fields is not None
    parts = make_parts(rule, fields, backends, problems)
    if problems or parts is None:
        raise RuleError(problems)
    series, dialect = fields.values.get("series"), dialects.OF_2
    return Rule(rule.place, _badge_of(fields), *parts, series=series, dialect=dialect)


def _badge_of(fields: Fields) -> Badge:
    found = fields.values
    metadata = {key: found[key] for key in _METADATA}
    return Badge(convert_name_to_id(found["name"]), tags=found.get("tags"), **metadata)


def rule_schema(backends: Backends) -> Schema:
    """Return a JSON Schema of rule files with the criteria of these backends."""
    own: Schema = {
        **_kind_of_rule(backends).schema,
        "dependentRequired": {key: ["recipient"] for key in CONVERSIONS},
    }
    return {
        "$schema": DIALECT,
        "title": "A rule of fedbadges",
        **dialects.by_dialect(ref("rule"), ref("rule-of-2")),
        "$defs": {
            "rule": own,
            "rule-of-2": _KIND_OF_2.schema,
            **triggers.DEFINITIONS,
            **criteria_definitions(backends),
        },
    }


def _kind_of_rule(backends: Backends) -> Kind[Fields]:
    criteria = Kind(
        lambda node, what, problems: parse_criteria(backends, node, problems), ref("criteria")
    )
    keys = {
        **_METADATA,
        "trigger": _TRIGGER,
        "criteria": FieldSpec(
            criteria, "The expensive check: what must hold to award the badge.", True
        ),
        **_OTHER_KEYS,
        **RECIPIENT_KEYS,
    }
    return record_of("a rule", keys)


def _read_text(node: Node, what: str, problems: Problems) -> str | None:
    text = as_text(node, what, problems)
    if text is None:
        return None
    unfit = UNSTORABLE.search(text.text)
    if unfit:
        problems.add(node.place, f"{what} has U+{ord(unfit.group()):04X}, which no database holds")
    return text.text.strip()


def _read_short_text(node: Node, what: str, problems: Problems) -> str | None:
    value = _read_text(node, what, problems)
    if value is not None and len(value) > MAX_TEXT:
        problems.add(node.place, f"{what} has {len(value)} characters; tahrir holds {MAX_TEXT}")
    return value


def _read_name(node: Node, what: str, problems: Problems) -> str | None:
    name = _read_short_text(node, what, problems)
    if name is None:
        return None
    badge_id = convert_name_to_id(name)
    if not name.isprintable():
        problems.add(node.place, "'name' is one line of printable characters")
    if not badge_id.strip("-"):
        problems.add(node.place, "'name' leaves nothing for the badge's id")
    if len(badge_id) > MAX_ID:
        text = f"'name' makes an id of {len(badge_id)} characters; tahrir holds {MAX_ID}"
        problems.add(node.place, text)
    return name


def _read_series(node: Node, what: str, problems: Problems) -> str | None:
    name = _read_short_text(node, what, problems)
    if name is not None and not (name.isprintable() and convert_name_to_id(name).strip("-")):
        problems.add(node.place, f"{what} is a name, in one line of printable characters")
    return name


def _read_tags(node: Node, what: str, problems: Problems) -> tuple[str, ...] | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        words = filter(str.strip, node.value.split(","))
        items: Iterable[Node] = [replace(node, value=word, text=word) for word in words]
    elif isinstance(node, SequenceNode):
        items = node.items
    else:
        problems.add(node.place, "'tags' is a list, or words split by commas")
        return None
    tags = [_read_short_text(item, "a tag", problems) for item in items]
    # tahrir stores tags in lower case, each once.
    return tuple(sorted({tag.lower() for tag in tags if tag}))


# Text of at most so many characters, but for blanks around it.
_SHORT: Schema = {"type": "string", "pattern": rf"^\s*\S([\s\S]{{0,{MAX_TEXT - 2}}}\S)?\s*$"}
_SHORT_TEXT = Kind(_read_short_text, _SHORT)
_SERIES = Kind(_read_series, _SHORT)
_TAGS = Kind(_read_tags, {"anyOf": [{"type": "string"}, {"type": "array", "items": TEXT}]})

#: The keys that describe the badge, all of them required.
_METADATA = {
    "name": FieldSpec(
        Kind(_read_name, _SHORT), "The badge's name; its id in tahrir is made from it.", True
    ),
    "description": FieldSpec(_SHORT_TEXT, "What it is awarded for, as shown with the badge.", True),
    "creator": FieldSpec(Kind(_read_text, TEXT), "Who thought of the badge.", True),
    "discussion": FieldSpec(_SHORT_TEXT, "A link, shown as the badge's criteria.", True),
    "image_url": FieldSpec(_SHORT_TEXT, "Where its picture is.", True),
}

_TRIGGER = FieldSpec(
    Kind(lambda node, what, problems: parse_trigger(node, problems), ref("trigger")),
    "The cheap check: which messages the rule is about.",
    True,
)

#: Other keys that all rules may have.
_OTHER_KEYS = {
    "issuer_id": FieldSpec(Kind(lambda *_: None, {}), "Informs readers only."),
    "tags": FieldSpec(_TAGS, "A list, or words split by commas."),
    "series": FieldSpec(_SERIES, "The name of the series that the badge is one of."),
    dialects.KEY: FieldSpec(dialects.KIND, "In which dialect the rule is written."),
}

_KIND_OF_2 = record_of("a rule", {**_METADATA, "trigger": _TRIGGER, **KEYS, **_OTHER_KEYS})
