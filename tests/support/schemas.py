"""YAML as an editor checks it against a JSON Schema."""

import datetime
from typing import Any

from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode


def as_json(node: Node) -> Any:
    """Return what an editor sees of a rule; JSON has no dates."""
    if isinstance(node, ScalarNode):
        dates = (datetime.date, datetime.datetime)
        return node.text if isinstance(node.value, dates) else node.value
    if isinstance(node, MappingNode):
        return {key.value: as_json(value) for key, value in node.entries}
    return [as_json(item) for item in node.items]
