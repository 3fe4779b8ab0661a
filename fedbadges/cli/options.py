"""Options that several commands have."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from fedbadges.cli.errors import CannotRun

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(formats: Iterable[str] = ("text", "json")) -> Callable[[Command], Command]:
    """Add ``--format`` to a command, which gets its value as ``form``; the default is ``text``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(list(formats)),
        default="text",
        help="How to print.",
    )


def config_option(
    text: str = "Read this configuration of fedmsg rather than /etc/fedmsg.d, ~/.fedmsg.d and "
    "so on.",
) -> Callable[[Command], Command]:
    """Add ``--config`` to a command, with this ``text`` as its help."""
    return click.option(
        "--config", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help=text
    )


def database_option(name: str, text: str) -> Callable[[Command], Command]:
    """Add an option for the URL of a database to a command, with this ``text`` as its help."""
    return click.option(name, metavar="URL", callback=_check_url, help=text)


def _check_url(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """Return the URL; raise CannotRun if it is none.

    Nor may its file be missing, since SQLite would create an empty one.
    """
    from fedbadges.databases.connections import parse_url

    if text is None:
        return None
    try:
        url = parse_url(text)
    except ValueError as error:
        raise CannotRun(f"{option.opts[0]}: {error}") from None
    if url.get_backend_name() == "sqlite" and url.database and ":" not in url.database:
        file = Path(url.database)
        if file.parent.is_dir() and not file.exists():
            raise CannotRun(f"{option.opts[0]}: there is no file {url.database!r}")
    return text
