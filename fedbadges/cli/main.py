"""The command ``fedbadges``: the group of its subcommands, and what all of them share.

A subcommand imports what it needs when it is called, so that --help and completion are fast.
"""

import errno
import io
import logging
import sys
import warnings
from typing import Any

import click

from fedbadges.cli.award.command import award
from fedbadges.cli.backfill.command import backfill
from fedbadges.cli.check import check
from fedbadges.cli.convert import convert
from fedbadges.cli.diff import diff
from fedbadges.cli.errors import CannotRun
from fedbadges.cli.explain.command import explain
from fedbadges.cli.new.command import new
from fedbadges.cli.preview.command import preview
from fedbadges.cli.progress import progress
from fedbadges.cli.retry import retry
from fedbadges.cli.revoke import revoke
from fedbadges.cli.rules.list import list_rules
from fedbadges.cli.rules.show import show
from fedbadges.cli.schema import schema
from fedbadges.cli.status.command import status
from fedbadges.cli.terminal import no_color
from fedbadges.cli.test import test
from fedbadges.cli.topics.command import topics

_EPILOG = """\b
Examples:
  fedbadges topics git.receive      what its messages have that a rule can use
  fedbadges new                     a rule and its test, from a few questions
  fedbadges list                    the rules in force
  fedbadges show scribe             a rule in words, and who holds its badge
  fedbadges check rules             every mistake in every rule below rules/
  fedbadges check --help            what else there is to it
  fedbadges convert rules           rules of fedbadges 2.x in this version's language
  fedbadges test rules              whether the rules do what their tests say
  fedbadges preview scribe          who would have the badge by now
  fedbadges diff old.yml new.yml    who would gain or lose the badge
  fedbadges backfill scribe         who has earned a badge by now; --award gives it
  fedbadges explain message.json    why it gives a badge to whom, and not to others
  fedbadges progress alice          how far alice is with every badge
  fedbadges award alice speaker --reason "spoke at the conference"
  fedbadges retry                   what failed, once more
  fedbadges status                  what the daemon is doing
  fedbadges schema > rule.json      for editors, which then know the keys

\b
Results go to standard output, everything else to standard error. Exit codes:
0 for good, 1 for something that was found, 2 for a command that cannot run.
Completion, for bash: eval "$(_FEDBADGES_COMPLETE=bash_source fedbadges)"
"""


class _Commands(click.Group):
    """Commands that end with a line rather than a traceback on Ctrl-C or a full disk."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; raise CannotRun on Ctrl-C before it had anything to show."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise CannotRun("Stopped") from None
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):  # the disk is full
                raise
            raise CannotRun(f"Not all could be written: {error.strerror}") from None


@click.group(
    "fedbadges",
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="fedbadges")
def main() -> None:
    """Write the rules by which badges are awarded, and see what they do."""
    if no_color():
        click.get_current_context().color = False
    if not sys.warnoptions:
        # The warnings are about the code of libraries.
        warnings.simplefilter("ignore")
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # In another encoding than UTF-8, what it does not have is escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    # fedmsg warns about its own defaults.
    logging.getLogger("fedmsg").setLevel(logging.CRITICAL)


for command in (
    award,
    backfill,
    check,
    convert,
    diff,
    explain,
    list_rules,
    new,
    preview,
    progress,
    retry,
    revoke,
    schema,
    show,
    status,
    test,
    topics,
):
    main.add_command(command)
