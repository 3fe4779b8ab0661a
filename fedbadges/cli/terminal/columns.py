"""Columns of text that line up on a terminal, where some letters are two wide."""

from __future__ import annotations


def width_of(text: str) -> int:
    """Count the columns that a text takes."""
    from rich.cells import cell_len  # not at the top: completion and --help want to be fast

    return cell_len(text)


def padded(text: str, width: int) -> str:
    """Fill a text up with spaces to so many columns."""
    return text + " " * (width - width_of(text))
