"""A preview for a terminal: lists, and charts of characters."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from fedbadges.cli.preview.distribution import Bin, Distribution, Threshold, span
from fedbadges.cli.preview.preview import Earner, Preview
from fedbadges.cli.terminal.columns import padded, width_of
from fedbadges.util.text import printable

#: Pieces of a line, each with how it looks on a terminal.
Line = Sequence[tuple[str, str]]

_TITLE, _QUIET, _GIVEN, _NOT_GIVEN = "bold", "dim", "green", "blue"
_WIDTHS = (40, 100)
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def print_preview(preview: Preview, limit: int) -> None:
    """Print a preview, with so many of the earners; in colour where somebody looks at it."""
    if not sys.stdout.isatty():
        for line in _lines(preview, limit, 80):
            click.echo("".join(text for text, _ in line).rstrip())
        return
    # Not at the top: it is slow, and for people only.
    from rich.console import Console
    from rich.text import Text

    least, most = _WIDTHS
    width = min(max(shutil.get_terminal_size().columns, least), most)
    console = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)
    for line in _lines(preview, limit, width):
        console.print(Text.assemble(*line))


def _lines(preview: Preview, limit: int, width: int) -> Iterator[Line]:
    badge = preview.badge
    yield [(printable(badge.name), _TITLE), (f"  {printable(preview.path)}", _QUIET)]
    yield [(printable(badge.description), "")]
    yield []
    yield [(preview.summary, _TITLE)]
    if preview.earners and limit:
        yield from _titled("Who would have it, and since when", _earners(preview.earners, limit))
    if preview.earners:
        unit, periods = preview.over_time
        rows = [(each.name, each.awards, f"{each.total} in all", _GIVEN) for each in periods]
        yield from _titled(f"Awards by {unit}", _chart(rows, width))
    if preview.counts is not None and preview.counts.bins:
        yield from _titled("How far people got", _histogram(preview.counts, width))
        yield from _titled("With another threshold", _thresholds(preview.counts.thresholds))


def _titled(title: str, lines: Iterable[Line]) -> Iterator[Line]:
    lines = list(lines)
    if lines:
        yield []
        yield [(title, _TITLE)]
        yield from ([("  ", ""), *line] for line in lines)


def _earners(earners: Sequence[Earner], limit: int) -> Iterator[Line]:
    first = earners[:limit]
    longest = max(width_of(printable(earner.user)) for earner in first)
    for earner in first:
        yield [
            (f"{earner.when:%Y-%m-%d %H:%M}  ", _QUIET),
            (padded(printable(earner.user), longest), ""),
            (f"  {printable(earner.topic)}", _QUIET),
        ]
    if len(earners) > limit:
        yield [(f"and {len(earners) - limit} more", _QUIET)]


def _histogram(counts: Distribution, width: int) -> Iterator[Line]:
    rows = [(span(each), each.people, "", _colour(each)) for each in counts.bins]
    before = sum(not each.awarded for each in counts.bins)
    chart = list(_chart(rows, width))
    yield from chart[:before]
    if counts.own is not None:
        awards = counts.awards(counts.own)
        words = f" {counts.own}: from here on they have it, {awards} of {len(counts.peaks)} "
        yield [(f"──{words}".ljust(width - 2, "─"), _GIVEN)]
    yield from chart[before:]


def _colour(each: Bin) -> str:
    return _NOT_GIVEN if each.awarded is False else _GIVEN


def _chart(rows: Sequence[tuple[str, int, str, str]], width: int) -> Iterator[Line]:
    """Draw bars: each row has a name, a number, a remark and a colour."""
    most = max(number for _, number, _, _ in rows)
    names = max(len(name) for name, _, _, _ in rows)
    digits = len(str(most))
    remarks = max(len(remark) for _, _, remark, _ in rows)
    room = max(width - names - digits - remarks - 8, 10)
    for name, number, remark, colour in rows:
        yield [
            (f"{name:>{names}}  {number:>{digits}}  ", ""),
            (f"{_bar(number, most, room):<{room}}", colour),
            (f"  {remark:>{remarks}}", _QUIET),
        ]


def _bar(number: int, most: int, room: int) -> str:
    """Draw a bar of ``room`` characters for ``most``; of somebody something is to be seen."""
    eighths = max(round(8 * room * number / max(most, 1)), number > 0)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def _thresholds(thresholds: Sequence[Threshold]) -> Iterator[Line]:
    if not thresholds:
        return
    numbers = [str(each.at_least) for each in thresholds]
    longest = max(len("at least"), *map(len, numbers))
    yield [(f"{'at least':>{longest}}  awards", _QUIET)]
    for number, each in zip(numbers, thresholds, strict=True):
        line = f"{number:>{longest}}  {each.awards:>6}"
        yield [(f"{line}  ← the rule's own", _TITLE)] if each.own else [(line, "")]
