"""What commands print: plain lines in a pipe, colours on a terminal, and bars for those who wait.

Everything but JSON is printed by rich, which is imported when it is needed: it takes a while.
"""

from __future__ import annotations

import json
import operator
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedbadges.util.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text
    from rich.tree import Tree

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

#: Styles of answers, and of what was not asked.
YES, NO, UNASKED = "green", "red", "dim"

#: Columns of what is no terminal: lines are neither wrapped nor cut there, so that grep finds them.
_UNLIMITED = 1_000_000


def format_option(formats: Iterable[str] = ("text", "json")) -> Callable[[Command], Command]:
    """Add ``--format`` to a command, which gets its value as ``form``; the default is ``text``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(list(formats)),
        default="text",
        show_default=True,
        help="The format of the output.",
    )


def make_console() -> Console:
    """Return a console for text without markup; in a pipe, without colours and wrapped lines."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        force_terminal=terminal,
        width=None if terminal else _UNLIMITED,
        # rich would keep bold and dim text.
        color_system=None if no_color() else "auto",
        highlight=False,
        emoji=False,
        markup=False,
    )


def no_color() -> bool:
    """Return True if the user wants no escape sequences: see https://no-color.org."""
    return bool(os.environ.get("NO_COLOR"))


def print_json(data: object) -> None:
    """Print data as JSON, on several lines."""
    click.echo(json.dumps(data, indent=2))


def print_lines(*renderables: RenderableType, width: int | None = None, wrap: bool = True) -> None:
    """Print text, tables and trees, ``width`` columns wide, without spaces at the end of a line.

    Without ``wrap``, the terminal wraps long lines, so that they can be copied.
    """
    console = make_console()
    with console.capture() as capture:
        for renderable in renderables:
            console.print(renderable, width=width, soft_wrap=not wrap)
    for line in capture.get().splitlines():
        print(line.rstrip())
    # What goes to standard error next stays behind it.
    sys.stdout.flush()


def make_text(*parts: str | tuple[str, str]) -> Text:
    """Return parts on one line, each of them text or (text, style); all is escaped."""
    from rich.text import Text

    pairs = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((printable(text), style) for text, style in pairs))


def make_table(*headings: str) -> Table:
    """Return a table of columns without lines between them."""
    from rich.table import Table

    return Table(
        *headings, box=None, show_header=bool(headings), pad_edge=False, padding=(0, 2, 0, 0)
    )


def make_tree(text: str, below: Iterable[Tree] = (), style: str = "") -> Tree:
    """Return a line, in a style of rich, with trees below it; unprintable text is escaped."""
    from rich.tree import Tree

    tree = Tree(make_text((text, style)), guide_style="dim")
    tree.children += below
    return tree


@contextmanager
def advancing(items: Sequence[T], what: str) -> Iterator[Iterable[T]]:
    """Yield the items, and show how many of them are left."""
    left = iter(items)
    with following(what, lambda: (len(items) - operator.length_hint(left), len(items))):
        yield left


@contextmanager
def following(what: str, reached: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Show the progress of the block, of which ``reached`` returns what is done and the total.

    The total is 0 while it is unknown. It is shown on standard error, if that is a terminal that
    may get escape sequences, without which it cannot be redrawn.
    """
    if no_color() or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress

    class Following(Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            done, total = reached()
            for task in self.task_ids:
                self.update(task, completed=done, total=total or None)
            return super().get_renderables()

    with Following(console=Console(stderr=True), transient=True) as progress:
        progress.add_task(what, total=None)
        yield


@contextmanager
def deferring_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for a Ctrl-C only after the block; only in the main thread."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
