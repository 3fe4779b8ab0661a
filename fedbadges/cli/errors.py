"""How a command ends: its exit codes, and the error that says why it cannot run."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from fedbadges.util.text import describe_error, printable

#: Exit codes: all is well, something was found, the command cannot run.
GOOD, FOUND, CANNOT_RUN = 0, 1, 2


class CannotRun(click.ClickException):
    """An error that whoever called the command can fix; each line is one problem."""

    exit_code = CANNOT_RUN

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(printable, lines)))

    def show(self, file: object = None) -> None:
        """Print the lines on standard error; click calls this."""
        click.echo(self.message, err=True)


@contextmanager
def reporting_errors(stopped: str = "Stopped") -> Iterator[None]:
    """Raise CannotRun with one line for an error of a database or service, and on Ctrl-C."""
    from sqlalchemy.exc import SQLAlchemyError

    from fedbadges.errors import Unavailable

    try:
        yield
    except KeyboardInterrupt:
        raise CannotRun(stopped) from None
    except Unavailable as unavailable:
        raise CannotRun(str(unavailable)) from unavailable
    except SQLAlchemyError as error:
        raise CannotRun(f"database error: {describe_error(error)}") from error
