"""Rules and messages written within a test, without a deployment."""

from typing import Any

from fedbadges.config.settings import read_settings
from fedbadges.criteria.datanommer import Datanommer
from fedbadges.errors import RuleError
from fedbadges.messages import Message, parse_message
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule
from support.rules import only_rule

PATH = "rule.yml"

METADATA = """\
name: Test Badge
description: A badge of the tests
creator: alice
discussion: https://badges.example.org/discussion
image_url: https://badges.example.org/pngs/badge.png
"""
TRIGGER = "trigger: {topic: git.receive}\n"
CRITERIA = """\
criteria: {filter: {topics: ["%(topic)s"]}, operation: count, condition: {greater than: 0}}
"""

HERE = "→"
"""Stands in a rule's text in front of each place that a message must name."""


def backends(history_url: str = "sqlite://") -> Backends:
    """Return the backend that asks a history."""
    keys = ("issuer_origin", "issuer_name", "issuer_org", "issuer_contact")
    settings, _ = read_settings(
        {
            "badges.yaml.directory": ".",
            "badges_global": {
                "database_uri": "sqlite://",
                "badge_issuer": dict.fromkeys(keys, "example"),
            },
            "datanommer.sqlalchemy.url": history_url,
        }
    )
    return {"datanommer": Datanommer(settings)}


PARSING = backends()
"""For rules that are only parsed: nothing is asked."""


def load(body: str, using: Backends = PARSING) -> Rule:
    """Return the rule; metadata, a trigger and criteria are added where ``body`` has none."""
    return only_rule(complete(body).encode(), PATH, using)


def complete(body: str) -> str:
    """Return ``body`` with those parts behind it that it needs for being a whole rule."""
    keys = [line.partition(":")[0] for line in body.splitlines()]
    text = body if body.endswith("\n") or not body else body + "\n"
    for part in (METADATA, TRIGGER, CRITERIA):
        lines = part.splitlines(keepends=True)
        text += "".join(line for line in lines if line.partition(":")[0] not in keys)
    return text


def mistakes(text: str | bytes, using: Backends = PARSING) -> list[str]:
    """Return what is wrong with a whole rule file, a line each; nothing if it loads."""
    try:
        load_text(text if isinstance(text, bytes) else text.encode(), PATH, using)
    except RuleError as error:
        return [str(problem) for problem in error.problems]
    return []


def assert_mistakes(body: str, *expected: str, using: Backends = PARSING) -> None:
    """Verify the mistakes of a rule: one message for each place that is marked in ``body``."""
    pieces = body.split(HERE)
    assert len(pieces) == len(expected) + 1, "a mark for each message"
    before = ["".join(pieces[:count]) for count in range(1, len(pieces))]
    places = [(text.count("\n") + 1, len(text) - text.rfind("\n")) for text in before]
    assert mistakes(complete("".join(pieces)), using) == [
        f"{PATH}:{line}:{column}: {text}"
        for (line, column), text in zip(places, expected, strict=True)
    ]


def message(topic: str = "org.fedoraproject.prod.git.receive", **fields: Any) -> Message:
    """Return a message with these fields, such as ``msg``, as it would come from the bus."""
    body = {"msg_id": "2024-1", "timestamp": 1700000000.0, "i": 1, "msg": {}, **fields}
    found = parse_message({"topic": topic, **body})
    assert found is not None
    return found
