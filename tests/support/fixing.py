"""Rules after ``check --fix``."""

import textwrap
from typing import Any

import yaml

from fedbadges.lint.fixes.fixer import Fixed, Fixer
from fedbadges.rules.loader import load_text
from support.rule_text import PARSING, complete


def fix(body: str) -> Fixed:
    return Fixer(PARSING).fix(complete(textwrap.dedent(body)).encode(), "rule.yml")


def body_of(fixed: Fixed, key: str) -> Any:
    """Return what the rule has below a key afterwards, which loads."""
    load_text(fixed.after, "rule.yml", PARSING)
    return yaml.safe_load(fixed.after)[key]


def trigger_of(expression: str) -> Any:
    """Return what a trigger has instead of a lambda."""
    quoted = expression.replace("'", "''")
    fixed = fix(f"trigger:\n  all:\n  - topic: a.b\n  - lambda: '{quoted}'\n")
    assert not fixed.left
    return body_of(fixed, "trigger")["all"][1]
