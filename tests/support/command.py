"""The command ``fedbadges``, called within the test's own process."""

import logging
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from fedbadges.cli.main import main

GOOD = """\
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}
  operation: count
  condition: {greater than: 4}
recipient: "%(msg.user)s"
"""
"""Criteria and recipient with which nothing is wrong, nor odd."""


def fedbadges(*arguments: str | Path, **options: Any) -> Result:
    """Call the command; what it raises beyond an exit is a failure of the test."""
    # It has its process for itself, where some commands have the engine say less.
    log = logging.getLogger("fedbadges.engine.engine")
    level = log.level
    try:
        return CliRunner().invoke(
            main, [str(argument) for argument in arguments], catch_exceptions=False, **options
        )
    finally:
        log.setLevel(level)
