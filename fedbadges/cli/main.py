"""The group of commands, and what all of them share."""

from __future__ import annotations

import logging
import sys
import warnings

import click

from fedbadges.cli.check import check
from fedbadges.cli.schema import schema
from fedbadges.cli.test import test

_EPILOG = """\b
Examples:
  fedbadges check rules             every mistake in every rule below rules/
  fedbadges check --help            what else there is to it
  fedbadges test rules              whether the rules do what their tests say
  fedbadges schema > rule.json      for editors, which then know the keys

\b
Results go to standard output, everything else to standard error. Exit codes:
0 for good, 1 for something that was found, 2 for a command that cannot run.
Completion, for bash: eval "$(_FEDBADGES_COMPLETE=bash_source fedbadges)"
"""


@click.group("fedbadges", epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fedbadges")
def main() -> None:
    """Write the rules by which badges are awarded, and see what they do."""
    if not sys.warnoptions:
        # They are about the libraries' own code.
        warnings.simplefilter("ignore")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    # Its warnings are about its own defaults.
    logging.getLogger("fedmsg").setLevel(logging.CRITICAL)


main.add_command(check)
main.add_command(schema)
main.add_command(test)
