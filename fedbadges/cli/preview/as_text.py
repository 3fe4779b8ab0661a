"""A preview as text: tables, and charts of characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.bar import Bar
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from fedbadges.cli.preview.figures import Distribution, OverTime, Threshold
from fedbadges.cli.preview.preview import Earner, Preview
from fedbadges.cli.terminal.console import make_console, make_table, print_lines
from fedbadges.util.text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

#: A row of a chart: its name, a number, the bar for that, and perhaps a remark.
_Row = tuple["RenderableType", ...]

_TITLE, _QUIET, _AWARDED, _NOT_AWARDED = "bold", "dim", "green", "blue"

#: Columns to use in a pipe, and the least and the most on a terminal.
_PIPE, _LEAST, _MOST = 80, 40, 100


def print_preview(preview: Preview, limit: int) -> None:
    """Print a preview, with at most ``limit`` of the earners."""
    console = make_console()
    width = min(max(console.width, _LEAST), _MOST) if console.is_terminal else _PIPE
    badge = preview.badge
    print_lines(
        Text.assemble((printable(badge.name), _TITLE), (f"  {printable(preview.path)}", _QUIET)),
        printable(badge.description),
        "",
        Text(preview.summary, _TITLE),
        wrap=False,
    )
    if preview.earners and limit:
        _print_section("Who would have it, and since when", _earners(preview.earners, limit))
    if preview.earners:
        over_time = preview.over_time
        _print_section(f"Awards by {over_time.unit}", _chart(_periods(over_time)), width)
    if preview.counts is not None and preview.counts.bins:
        _print_section("How far people got", _chart(_bins(preview.counts)), width)
        if preview.counts.thresholds:
            _print_section("With another threshold", _thresholds(preview.counts.thresholds))


def _print_section(title: str, content: RenderableType, width: int | None = None) -> None:
    print_lines("", Text(title, _TITLE), Padding.indent(content, 2), width=width)


def _earners(earners: Sequence[Earner], limit: int) -> Table:
    table = make_table()
    for each in earners[:limit]:
        table.add_row(
            Text(f"{each.when:%Y-%m-%d %H:%M}", _QUIET),
            printable(each.username),
            Text(printable(each.topic), _QUIET),
        )
    if len(earners) > limit:
        table.add_row(Text(f"and {len(earners) - limit} more", _QUIET))
    return table


def _periods(over_time: OverTime) -> Iterator[_Row]:
    most = max(each.awards for each in over_time.periods)
    for each in over_time.periods:
        bar = _bar(each.awards, most, _AWARDED)
        yield each.name, str(each.awards), bar, Text(f"{each.total} in total", _QUIET)


def _bins(counts: Distribution) -> Iterator[_Row]:
    most = max(each.people for each in counts.bins)
    marked = counts.own is None
    for each in counts.bins:
        if each.awarded and not marked:
            marked = True
            reached = f"{counts.own_awards} of {len(counts.peaks)}"
            mark = Text(f"threshold {counts.own}, reached by {reached}", _AWARDED)
            yield "", "", Rule(mark, align="left", style=_AWARDED)
        colour = _NOT_AWARDED if each.awarded is False else _AWARDED
        yield each.name, str(each.people), _bar(each.people, most, colour)


def _chart(rows: Iterable[_Row]) -> Table:
    table = make_table()
    table.expand = True
    for row in rows:
        table.add_row(*row)
    name, number, bar, *remarks = table.columns
    bar.ratio = 1
    for column in (name, number, *remarks):
        column.justify = "right"
        column.no_wrap = True
    return table


def _bar(number: int, most: int, colour: str) -> Bar:
    """Return a bar; even the least number is visible beside the greatest."""
    return Bar(most, 0, max(number, most / 100) if number else 0, color=colour)


def _thresholds(thresholds: Sequence[Threshold]) -> Table:
    table = make_table("at least", "awards", "")
    for each in thresholds:
        remark = "← the rule's own" if each.own else ""
        table.add_row(str(each.at_least), str(each.awards), remark, style=_TITLE * each.own)
    table.columns[0].justify = table.columns[1].justify = "right"
    return table
