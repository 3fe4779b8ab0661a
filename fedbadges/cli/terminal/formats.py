"""The option ``--format`` of commands, which says how to show what they have found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def with_format(forms: Iterable[str] = ("text", "json")) -> Callable[[Command], Command]:
    """Give a command the option; it is called with ``form``, one of these, by default ``text``."""
    return click.option(
        "--format", "form", type=click.Choice(list(forms)), default="text", help="How to say it."
    )
