"""Tests of rules, written within a test, and what comes of them."""

from pathlib import Path
from typing import Any

from fedbadges.cli.deployment import placeholder_settings
from fedbadges.errors import RuleError
from fedbadges.ruletests.runner import HISTORY_URL, TAHRIR_URL, Difference, RuleTestRunner
from support.rule_text import complete

PUSH = """\
messages:
  push:
    topic: org.fedoraproject.prod.git.receive
    msg: {user: "%(from)s"}
"""
"""A message that the rules made here are about."""


def make_runner(**keys: Any) -> RuleTestRunner:
    """Return a runner for a deployment with these keys below ``badges.``."""
    changes: dict[str, Any] = {
        "datanommer.sqlalchemy.url": HISTORY_URL,
        "badges_global": TAHRIR_URL,
        "badges.keep_counts": False,
        **{f"badges.{name}": value for name, value in keys.items()},
    }
    return RuleTestRunner(placeholder_settings(changes))


def counting(at_least: int, name: str = "Test Badge") -> str:
    """Return a rule that awards to whoever pushed that many times."""
    return complete(
        f"""\
name: {name}
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(recipient)s"]}}
  operation: count
  condition: {{greater than or equal to: {at_least}}}
recipient: "%(msg.user)s"
"""
    )


def write_suite(directory: Path, text: str, rule: str) -> Path:
    """Write a rule, and its tests beside it, and return their path."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "rule.yml").write_text(rule)
    path = directory / "rule.yml.test"
    path.write_text(text)
    return path


def mistakes(runner: RuleTestRunner, path: Path) -> list[str]:
    """Return what is wrong with a test file, a line each, without its directory."""
    try:
        runner.load(path)
    except RuleError as error:
        return [str(problem).replace(f"{path.parent}/", "") for problem in error.problems]
    return []


def run(runner: RuleTestRunner, path: Path) -> list[Difference]:
    """Return whatever differs, in all tests of a file."""
    suite = runner.load(path)
    return [each for test in suite.tests for each in runner.run(suite, test)]
