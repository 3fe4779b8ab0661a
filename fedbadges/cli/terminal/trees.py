"""Trees of text, for terminals and for pipes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import click

from fedbadges.util.text import printable

#: What leads to a branch, and to what is below it; the last one's are different.
_GUIDES = (("├─ ", "│  "), ("└─ ", "   "))
_PLAIN_GUIDES = (("|- ", "|  "), ("`- ", "   "))


@dataclass(frozen=True)
class Branch:
    """A line, and what is below it; ``style`` is its colour, where there are any."""

    text: str
    below: tuple[Branch, ...] = ()
    style: str = ""


def print_trees(trees: Iterable[Branch]) -> None:
    """Print trees on standard output, in colour where somebody looks at it.

    What is in their lines is text alone, wherever it comes from.
    """
    if sys.stdout.isatty():
        _print_coloured(trees)
        return
    guides = _GUIDES if _can_write("├─│└") else _PLAIN_GUIDES
    for tree in trees:
        for line in _lines(tree, guides):
            click.echo(line if _can_write(line) else ascii(line)[1:-1])


def _lines(tree: Branch, guides: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield printable(tree.text)
    for number, branch in enumerate(tree.below, 1):
        to_it, below_it = guides[number == len(tree.below)]
        for first, line in enumerate(_lines(branch, guides)):
            yield f"{below_it if first else to_it}{line}"


def _can_write(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _print_coloured(trees: Iterable[Branch]) -> None:
    # Not at the top: it is slow, and for people only.
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def grown(branch: Branch) -> Tree:
        tree = Tree(Text(printable(branch.text), style=branch.style), guide_style="dim")
        for each in branch.below:
            tree.children.append(grown(each))
        return tree

    console = Console(highlight=False, emoji=False, markup=False)
    for tree in trees:
        console.print(grown(tree))
