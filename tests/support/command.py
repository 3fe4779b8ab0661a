"""The command ``fedbadges``, called as from a shell but within the test's own process."""

import contextlib
import logging
from collections.abc import Iterator
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
    """Calls the command; what it raises beyond an exit is a failure of the test."""
    with own_logging():
        return CliRunner().invoke(
            main, [str(argument) for argument in arguments], catch_exceptions=False, **options
        )


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """Lets a command say what is to be logged, as if its process were its own."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("fed")]
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
