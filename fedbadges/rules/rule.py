"""A rule: what one YAML file says, parsed and immutable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from tahrir_api.utils import convert_name_to_id

from fedbadges.errors import Place
from fedbadges.rules.criteria import (
    Backends,
    Criteria,
    names_recipient,
    needs_history,
    parse_criteria,
)
from fedbadges.rules.parsing import as_text, check_keys
from fedbadges.rules.problems import Problems
from fedbadges.rules.recipients import CONVERSIONS, Recipient, parse_recipient
from fedbadges.rules.triggers import Trigger, parse_trigger
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode

#: The keys that describe the badge.
REQUIRED_TEXTS = ("name", "description", "creator", "discussion", "image_url")
REQUIRED = (*REQUIRED_TEXTS, "trigger", "criteria")
RULE_KEYS = (*REQUIRED, "issuer_id", "tags", "recipient", *CONVERSIONS)

_UNFIT = re.compile("[\x00\ud800-\udfff]")

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
    """One rule; without a ``recipient`` the usernames of the message are the candidates."""

    place: Place
    badge: Badge
    trigger: Trigger
    criteria: Criteria
    recipient: Recipient | None

    @cached_property
    def needs_history(self) -> bool:
        """Return True if its criteria look at past messages."""
        return needs_history(self.criteria)

    @cached_property
    def names_recipient(self) -> bool:
        """Return True if its criteria are judged for each candidate separately."""
        return names_recipient(self.criteria)


def parse_rule(rule: MappingNode, backends: Backends, problems: Problems) -> Rule | None:
    """Parse a rule file's mapping; return None after reporting everything that is wrong."""
    before = len(problems)
    check_keys(rule, RULE_KEYS, "a rule", problems, full=False)
    for key in REQUIRED:
        if rule.get(key) is None:
            problems.add(rule.place, f"missing key '{key}' in a rule")
    badge = _parse_badge(rule, problems)
    recipient = parse_recipient(rule, problems)
    trigger_node, criteria_node = rule.get("trigger"), rule.get("criteria")
    trigger = None if trigger_node is None else parse_trigger(trigger_node, problems)
    criteria = None if criteria_node is None else parse_criteria(criteria_node, backends, problems)
    if len(problems) > before or badge is None or trigger is None or criteria is None:
        return None
    return Rule(rule.place, badge, trigger, criteria, recipient)


def _parse_badge(rule: MappingNode, problems: Problems) -> Badge | None:
    texts = {key: _parse_text(rule, key, problems) for key in REQUIRED_TEXTS}
    tags = _parse_tags(rule.get("tags"), problems)
    if any(text is None for text in texts.values()):
        return None
    name = texts["name"] or ""
    badge_id = convert_name_to_id(name)
    node = rule.get("name")
    if node is not None and not badge_id.strip("-"):
        problems.add(node.place, "'name' leaves nothing for the badge's id")
    if node is not None and len(badge_id) > MAX_ID:
        problems.add(
            node.place,
            f"'name' makes an id of {len(badge_id)} characters; tahrir holds {MAX_ID}",
        )
    return Badge(
        id=badge_id,
        name=name,
        description=texts["description"] or "",
        image_url=texts["image_url"] or "",
        discussion=texts["discussion"] or "",
        creator=texts["creator"] or "",
        tags=tags,
    )


def _parse_text(rule: MappingNode, key: str, problems: Problems) -> str | None:
    node = rule.get(key)
    if node is None:
        return None
    text = as_text(node, f"'{key}'", problems)
    if text is None:
        return None
    value = text.text.strip()
    if key != "creator" and len(value) > MAX_TEXT:
        problems.add(text.place, f"'{key}' has {len(value)} characters; tahrir holds {MAX_TEXT}")
    _check_characters(text, f"'{key}'", problems)
    if key == "name" and not value.isprintable():
        problems.add(text.place, "'name' is one line of printable characters")
    return value


def _check_characters(text: ScalarNode, what: str, problems: Problems) -> None:
    unfit = _UNFIT.search(text.text)
    if unfit:
        problems.add(text.place, f"{what} has U+{ord(unfit.group()):04X}, which no database holds")


def _parse_tags(node: Node | None, problems: Problems) -> tuple[str, ...] | None:
    if node is None:
        return None
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        words = [(node, word.strip()) for word in node.value.split(",")]
    elif isinstance(node, SequenceNode):
        items = [as_text(item, "a tag", problems) for item in node.items]
        words = [(item, item.text.strip()) for item in items if item is not None]
    else:
        problems.add(node.place, "'tags' is a list, or words split by commas")
        return None
    for item, word in words:
        _check_characters(item, "a tag", problems)
        if len(word) > MAX_TEXT:
            problems.add(item.place, f"a tag has {len(word)} characters; tahrir holds {MAX_TEXT}")
    # tahrir stores tags in lower case, each once.
    return tuple(sorted({word.lower() for _, word in words if word}))
