"""Trees of text, for terminals and for pipes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedbadges.cli.terminal.console import print_lines
from fedbadges.util.text import printable

if TYPE_CHECKING:
    from rich.tree import Tree


@dataclass(frozen=True)
class Branch:
    """A line, in a ``style`` of rich, and the branches below it."""

    text: str
    below: tuple[Branch, ...] = ()
    style: str = ""


def print_trees(trees: Iterable[Branch]) -> None:
    """Print trees on standard output; what is not printable in them is escaped."""
    print_lines(*map(_make_tree, trees))


def _make_tree(branch: Branch) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(printable(branch.text), style=branch.style), guide_style="dim")
    tree.children += map(_make_tree, branch.below)
    return tree
