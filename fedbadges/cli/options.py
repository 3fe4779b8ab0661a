"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def format_option(formats: Iterable[str] = ("text", "json")) -> Callable[[Command], Command]:
    """Add ``--format`` to a command, which gets its value as ``form``; the default is ``text``."""
    return click.option(
        "--format", "form", type=click.Choice(list(formats)), default="text", help="How to say it."
    )


def config_option(
    text: str = "Read this configuration of fedmsg rather than /etc/fedmsg.d, ~/.fedmsg.d and "
    "so on.",
) -> Callable[[Command], Command]:
    """Add ``--config`` to a command, with this ``text`` as its help."""
    return click.option(
        "--config", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help=text
    )
