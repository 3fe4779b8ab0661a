"""Rules and rule files for the tests."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from fedbadges.errors import RuleError
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule

METADATA = """\
name: {name}
description: {description}
creator: alice
discussion: https://badges.example.org/discussion
image_url: {image_url}
issuer_id: example
"""


def rule(
    name: str,
    body: str,
    description: str = "A badge of the tests",
    image_url: str = "https://badges.example.org/pngs/badge.png",
) -> str:
    """Return the text of a rule: its metadata, and ``body`` (trigger, criteria, recipient)."""
    return METADATA.format(name=name, description=description, image_url=image_url) + body


def counting_rule(name: str, topic: str, at_least: int) -> str:
    """Return a rule that awards to who sent that many messages with this topic."""
    return rule(
        name,
        f"""
trigger:
  topic: {topic}
criteria:
  datanommer:
    filter:
      topics: ["%(topic)s"]
      users: ["%(username)s"]
    operation: count
    condition:
      greater than or equal to: {at_least}
""",
    )


def write_rules(directory: Path, rules: dict[str, str]) -> None:
    """Write rule files, each as the name that it is given under."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in rules.items():
        (directory / f"{name}.yml").write_text(text)


def only_rule(data: bytes, path: str, backends: Backends, *, configured: bool = True) -> Rule:
    """Return the rule of a file that has one."""
    (rule,) = load_text(data, path, backends, configured=configured)
    return rule


def load_rules(texts: Iterable[str], backends: Backends) -> list[Rule]:
    """Load rules, each with its ``{number}`` in its text; one that has a mistake is left out."""
    rules = []
    for number, text in enumerate(texts):
        with contextlib.suppress(RuleError):
            content = text.format(number=number).encode()
            rules.append(only_rule(content, f"{number}.yml", backends))
    return rules
