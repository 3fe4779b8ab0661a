"""What commands print: plain lines in a pipe, colours on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fedbadges.util.text import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.tree import Tree

#: Styles of answers, and of what was not asked.
YES, NO, UNASKED = "green", "red", "dim"

#: Columns of what is no terminal: lines are neither wrapped nor cut there, so that grep finds them.
_UNLIMITED = 1_000_000


def make_console() -> Console:
    """Return a console for standard output that takes all text as it is, without any markup.

    It writes no colours and wraps no lines if standard output is not a terminal.
    """
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        force_terminal=terminal,
        width=None if terminal else _UNLIMITED,
        highlight=False,
        emoji=False,
        markup=False,
    )


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


def make_table(*headings: str) -> Table:
    """Return a table of columns without lines between them."""
    from rich.table import Table

    return Table(
        *headings, box=None, show_header=bool(headings), pad_edge=False, padding=(0, 2, 0, 0)
    )


def make_tree(text: str, below: Iterable[Tree] = (), style: str = "") -> Tree:
    """Return a line, in a style of rich, with trees below it; unprintable text is escaped."""
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(printable(text), style=style), guide_style="dim")
    tree.children += below
    return tree
