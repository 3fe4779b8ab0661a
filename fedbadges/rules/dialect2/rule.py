"""A rule of fedbadges 2.x."""

from dataclasses import replace

from fedbadges.errors import RuleError
from fedbadges.rules.criteria import Backends
from fedbadges.rules.dialect2.reading import KEYS, make_parts
from fedbadges.rules.dialects import OF_2
from fedbadges.rules.grammar import Fields, Kind, record_of
from fedbadges.rules.parsing import Problems
from fedbadges.rules.rule import METADATA, OTHER_KEYS, TRIGGER, Rule, make_rule
from fedbadges.rules.yaml_document import MappingNode

#: What a file with such a rule is.
RULE_KIND: Kind[Fields] = record_of(
    "a rule", {**METADATA, "trigger": TRIGGER, **KEYS, **OTHER_KEYS}
)


def parse_rule(rule: MappingNode, backends: Backends, problems: Problems) -> Rule:
    """Parse a file's mapping; raise RuleError with everything that is wrong."""
    fields = RULE_KIND.read(rule, "a rule", problems)
    assert fields is not None
    parts = make_parts(rule, fields, backends, problems)
    if problems or parts is None:
        raise RuleError(problems)
    values = {**fields.values, "trigger": parts.trigger, "criteria": parts.criteria}
    return replace(make_rule(rule.place, values, parts.naming), dialect=OF_2)
