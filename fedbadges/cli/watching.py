"""Running a command again whenever its files change."""

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from fedbadges.cli.errors import CANNOT_RUN, CannotRun

#: Seconds between two looks at the files: somebody waits.
_INTERVAL = 0.5


watch_option = click.option(
    "--watch", is_flag=True, help="Do it again whenever a file changes, until Ctrl-C."
)


@dataclass(frozen=True)
class Outcome:
    """How one run of a command ended; ``complete`` unless Ctrl-C stopped it."""

    exit_code: int
    complete: bool


def run_repeatedly(run: Callable[[], Outcome], paths: Sequence[Path]) -> int:
    """Run a command, and again when its files change, until Ctrl-C; return the last exit code.

    Its files are the rules and tests at and below ``paths``. A run raises CannotRun if it cannot do
    anything with them.
    """
    from fedbadges.util.file_changes import FileChanges

    code = CANNOT_RUN
    changes = FileChanges(lambda: _watched(paths), _INTERVAL)
    with suppress(KeyboardInterrupt):
        while changes.wait(threading.Event()):
            if sys.stdout.isatty():
                click.clear()
            try:
                outcome = run()
                code = outcome.exit_code
                if not outcome.complete:
                    break
            except CannotRun as error:
                error.show()
                code = error.exit_code
            click.echo("Waiting for changes; Ctrl-C ends this", err=True)
    return code


def _watched(paths: Sequence[Path]) -> Iterator[str]:
    from fedbadges.rules.loader import RULE_FILES, TEST_FILES, rule_paths

    for path in paths:
        if path.is_dir():
            yield from rule_paths(path, RULE_FILES + TEST_FILES)
        else:
            yield str(path)
