"""A rule: what one YAML file says, parsed and immutable."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tahrir_api.utils import convert_name_to_id

from fedbadges.errors import Place, RuleError
from fedbadges.rules import dialects
from fedbadges.rules.criteria import (
    Backends,
    Criteria,
    backend_criteria,
    parse_criteria,
    with_user_paths,
)
from fedbadges.rules.grammar import TEXT, Fields, FieldSpec, Kind, Schema, number, record_of, ref
from fedbadges.rules.held_badges import BACKEND, asks_for_badges, check_untriggered
from fedbadges.rules.naming import RECIPIENT_KEYS, Excepted, Naming, Recipient, make_naming
from fedbadges.rules.operators import AllOf
from fedbadges.rules.parsing import UNSTORABLE, Problems, as_text
from fedbadges.rules.recipients import CONVERSIONS
from fedbadges.rules.triggers import AnyAward, Trigger, parse_trigger
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode

#: What tahrir's columns hold, in characters. An assertion's id is ``<badge> -> <person>``.
MAX_TEXT = 128
MAX_ID = MAX_TEXT - len(" -> 2147483647")

_MOST_FIRST = 1_000_000


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

    ``excepted`` names who is none. Criteria without parts hold for everybody. ``series`` is the
    name of the series that its badge is one of, where the rule says so, and ``threshold`` what must
    be reached, if one file gives all badges of the series. Only the ``first`` so many people get
    the badge. ``dialect`` is the one that it is written in.
    """

    place: Place
    badge: Badge
    trigger: Trigger
    criteria: Criteria
    recipient: Recipient | None
    series: str | None = None
    threshold: int | float | None = None
    excepted: Excepted | None = None
    first: int | None = None
    dialect: str = dialects.OWN

    @cached_property
    def naming(self) -> str:
        """Return a text that is the same for rules that name the same people."""
        return str(Naming(self.recipient, self.excepted))

    @cached_property
    def needs_history(self) -> bool:
        """Return True if its criteria look at past messages."""
        return any(each.needs_history for each in backend_criteria(self.criteria))

    @cached_property
    def has_trigger(self) -> bool:
        """Return True if messages trigger it, and not awards."""
        return not isinstance(self.trigger, AnyAward)

    @cached_property
    def asks_for_badges(self) -> bool:
        """Return True if its criteria may depend on the badges that somebody holds."""
        return any(map(asks_for_badges, backend_criteria(self.criteria)))

    @cached_property
    def names_recipient(self) -> bool:
        """Return True if its criteria are judged for each candidate separately."""
        return any(each.names_recipient for each in backend_criteria(self.criteria))


def parse_rule(rule: MappingNode, backends: Backends, problems: Problems) -> Rule:
    """Parse the mapping of a file with one rule; raise RuleError with everything that is wrong."""
    fields = rule_kind(backends).read(rule, "a rule", problems)
    assert fields is not None
    naming = make_naming(fields, problems)
    check_trigger(rule, fields, fields.values.get("criteria"), "a rule", problems)
    if problems:
        raise RuleError(problems)
    return make_rule(rule.place, fields.values, naming)


def make_rule(place: Place, values: Mapping[str, Any], naming: Naming) -> Rule:
    """Return the rule at ``place`` from what was read of its keys, which has no mistakes."""
    metadata = {key: values[key] for key in METADATA}
    badge = Badge(convert_name_to_id(values["name"]), tags=values.get("tags"), **metadata)
    criteria = values.get("criteria") or AllOf((), place)
    if naming.paths:
        criteria = with_user_paths(criteria, naming.paths)
    return Rule(
        place,
        badge,
        values.get("trigger") or AnyAward(place),
        criteria,
        naming.recipient,
        values.get("series"),
        values.get("threshold"),
        naming.excepted,
        values.get("first"),
    )


def check_trigger(
    document: MappingNode, fields: Fields, criteria: Criteria | None, what: str, problems: Problems
) -> None:
    """Report it if a rule or a series has no trigger, and its criteria need one."""
    if "trigger" in fields.places:
        return
    node = document.get("criteria")
    if node is not None and check_untriggered(criteria, node, problems):
        for key in ("recipient", "except", "first"):
            if key in fields.places:
                text = (
                    f"'{key}' needs a 'trigger': without one, whoever is awarded a badge is judged"
                )
                problems.add(fields.places[key], text)
    else:
        problems.add(document.place, f"missing key 'trigger' in {what}")


def rule_kind(backends: Backends) -> Kind[Fields]:
    """Return the kind of a file with one rule."""
    criteria = Kind(
        lambda node, what, problems: parse_criteria(backends, node, problems), ref("criteria")
    )
    return with_conversions(record_of("a rule", {**METADATA, **further_keys(criteria)}))


def further_keys(criteria: Kind[Any]) -> dict[str, FieldSpec]:
    """Return the keys of a file beside METADATA, with this kind of criteria."""
    return {
        "trigger": replace(TRIGGER, required=False),
        "criteria": FieldSpec(criteria, "The expensive check; without, the trigger is enough."),
        "first": FieldSpec(
            number(1, _MOST_FIRST),
            "At most so many people get it, in the order of their messages.",
        ),
        **OTHER_KEYS,
        **RECIPIENT_KEYS,
    }


def with_conversions(kind: Kind[Fields]) -> Kind[Fields]:
    """Return the kind with what its schema says of keys that need another one."""
    needed: Schema = {
        "dependentRequired": {
            **{key: ["recipient"] for key in CONVERSIONS},
            **{key: ["trigger"] for key in ("recipient", "except", "first")},
        },
        "if": {"required": ["criteria"], "properties": {"criteria": ref("no-trigger")}},
        "else": {"required": ["trigger"]},
    }
    return Kind(kind.read, {**kind.schema, **needed})


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


#: Criteria of a rule without a trigger, which ask for badges alone.
WITHOUT_TRIGGER: Schema = {
    "propertyNames": {"enum": [BACKEND, "all", "any"]},
    "properties": {key: {"items": ref("no-trigger")} for key in ("all", "any")},
}

# Text of at most so many characters, but for blanks around it.
_SHORT: Schema = {"type": "string", "pattern": rf"^\s*\S([\s\S]{{0,{MAX_TEXT - 2}}}\S)?\s*$"}
_SHORT_TEXT = Kind(_read_short_text, _SHORT)
_TAGS = Kind(_read_tags, {"anyOf": [{"type": "string"}, {"type": "array", "items": TEXT}]})

TAGS = FieldSpec(_TAGS, "A list, or words split by commas.")
SERIES = FieldSpec(Kind(_read_series, _SHORT), "The name of the series that the badge is one of.")

#: The keys that describe the badge, all of them required.
METADATA = {
    "name": FieldSpec(
        Kind(_read_name, _SHORT), "The badge's name; its id in tahrir is made from it.", True
    ),
    "description": FieldSpec(_SHORT_TEXT, "What it is awarded for, as shown with the badge.", True),
    "creator": FieldSpec(Kind(_read_text, TEXT), "Who thought of the badge.", True),
    "discussion": FieldSpec(_SHORT_TEXT, "A link, shown as the badge's criteria.", True),
    "image_url": FieldSpec(_SHORT_TEXT, "Where its picture is.", True),
}

TRIGGER = FieldSpec(
    Kind(lambda node, what, problems: parse_trigger(node, problems), ref("trigger")),
    "The cheap check: which messages the rule is about.",
    True,
)

#: The keys that a rule of any dialect may have beside these.
OTHER_KEYS = {
    "issuer_id": FieldSpec(Kind(lambda *_: None, {}), "Informs readers only."),
    "tags": TAGS,
    "series": SERIES,
    dialects.KEY: FieldSpec(dialects.KIND, "In which dialect the rule is written."),
}
