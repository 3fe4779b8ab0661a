"""A preview as text, with charts of characters, as JSON, and as a page in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from rich.bar import Bar
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table

from fedbadges.cli.preview.figures import LADDER, Distribution, OverTime, Preview
from fedbadges.cli.preview.series import SeriesPreview
from fedbadges.cli.selection import selection_data
from fedbadges.cli.terminal import make_console, make_table, make_text, print_lines
from fedbadges.util.text import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

#: A row of a chart: its name, a number, the bar for that, and perhaps a remark.
_Row = tuple["RenderableType", ...]

_TITLE, _QUIET, _AWARDED, _NOT_AWARDED = "bold", "dim", "green", "blue"

#: Columns to use in a pipe, and the least and the most on a terminal.
_PIPE, _LEAST, _MOST = 80, 40, 100

#: There are fewer lines than these above the first, behind the curve of the page.
_MAX_TICKS = 5


def print_preview(preview: Preview | SeriesPreview, limit: int) -> None:
    """Print a preview, with at most ``limit`` of the earners."""
    console = make_console()
    width = min(max(console.width, _LEAST), _MOST) if console.is_terminal else _PIPE
    first, *others = preview.lines
    print_lines(
        make_text((preview.name, _TITLE), (f"  {preview.path}", _QUIET)),
        printable(first),
        "",
        *others,
        "",
        make_text((preview.summary, _TITLE)),
        *preview.notes,
        wrap=False,
    )
    if isinstance(preview, SeriesPreview):
        _print_section("The badges", _badges(preview))
    if preview.earners and limit:
        _print_section(preview.who, _earners(preview, limit))
    if preview.earners:
        over_time = preview.over_time
        _print_section(f"Awards by {over_time.unit}", _chart(_periods(over_time)), width)
    if preview.counts is not None and preview.counts.bins:
        _print_section(preview.counts.title, _chart(_bins(preview, preview.counts)), width)
        if preview.counts.thresholds:
            _print_section("With another threshold", _thresholds(preview, preview.counts))


def _print_section(title: str, content: RenderableType, width: int | None = None) -> None:
    print_lines("", make_text((title, _TITLE)), Padding.indent(content, 2), width=width)


def _badges(preview: SeriesPreview) -> Table:
    table = make_table("badge", "at least", "awards", "first", "last")
    for each in preview.table:
        dates = ("" if day is None else str(day) for day in (each.first, each.last))
        table.add_row(make_text((each.id, _TITLE)), each.at_least, str(each.awards), *dates)
    table.columns[1].justify = table.columns[2].justify = "right"
    return table


def _earners(preview: Preview | SeriesPreview, limit: int) -> Table:
    table = make_table()
    for badge_id, each in preview.awards[:limit]:
        when = make_text((f"{each.when:%Y-%m-%d %H:%M}", _QUIET))
        badge = [badge_id] if isinstance(preview, SeriesPreview) else []
        table.add_row(when, printable(each.username), *badge, make_text((each.topic, _QUIET)))
    if len(preview.awards) > limit:
        table.add_row(make_text((f"and {len(preview.awards) - limit} more", _QUIET)))
    return table


def _periods(over_time: OverTime) -> Iterator[_Row]:
    most = max(each.awards for each in over_time.periods)
    for each in over_time.periods:
        bar = _bar(each.awards, most, _AWARDED)
        yield each.period, str(each.awards), bar, make_text((f"{each.total} in total", _QUIET))


def _bins(preview: Preview | SeriesPreview, counts: Distribution) -> Iterator[_Row]:
    most = max(each.people for each in counts.bins)
    for each in counts.bins:
        if each.low in preview.labels:
            reached = f"{counts.awards(each.low)} of {len(counts.peaks)}"
            text = f"threshold {each.low}, reached by {reached}"
            if isinstance(preview, SeriesPreview):
                text = f"{preview.labels[each.low]}: {text}"
            yield "", "", Rule(make_text((text, _AWARDED)), align="left", style=_AWARDED)
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


def _thresholds(preview: Preview | SeriesPreview, counts: Distribution) -> Table:
    table = make_table("at least", "awards", "")
    for each in counts.thresholds:
        whose = "the rule's own"
        if isinstance(preview, SeriesPreview) and each.own:
            whose = preview.labels[each.at_least]
        remark = f"← {whose}" if each.own else ""
        table.add_row(str(each.at_least), str(each.awards), remark, style=_TITLE * each.own)
    table.columns[0].justify = table.columns[1].justify = "right"
    return table


def data_of_preview(preview: Preview | SeriesPreview) -> dict[str, Any]:
    """Return a preview for JSON."""
    if isinstance(preview, SeriesPreview):
        return _series_data(preview)
    earners = [asdict(each) | {"when": f"{each.when.isoformat()}Z"} for each in preview.earners]
    return {
        "badge": preview.badge.id,
        "name": preview.badge.name,
        "path": preview.path,
        "messages": preview.total,
        "read": preview.read,
        "complete": preview.complete,
        "funnel": asdict(preview.funnel),
        "awards": len(preview.earners),
        "earners": earners,
        "over_time": asdict(preview.over_time),
        "counts": preview.counts and _counts_data(preview.counts),
        **selection_data(preview.selection, len(preview.earners)),
    }


def _series_data(preview: SeriesPreview) -> dict[str, Any]:
    """Return what is the same for all badges once, and the rest for each badge."""
    common = ("path", "messages", "read", "complete")
    data = [data_of_preview(each) for each in preview.badges]
    return {
        "series": preview.name,
        **{key: data[0][key] for key in common},
        "badges": [
            {"threshold": threshold}
            | {key: value for key, value in each.items() if key not in (*common, "counts")}
            for threshold, each in zip(preview.thresholds, data, strict=True)
        ],
        "awards": len(preview.awards),
        "over_time": asdict(preview.over_time),
        "counts": preview.counts
        and _counts_data(preview.counts) | {"at_least": list(preview.counts.owns)},
        **selection_data(preview.selection, preview.people),
    }


def _counts_data(counts: Distribution) -> dict[str, Any]:
    return {
        "people": len(counts.peaks),
        "at_least": counts.own,
        "bins": [
            {"from": each.low, "below": each.high, "people": each.people, "awarded": each.awarded}
            for each in counts.bins
        ],
        "thresholds": [asdict(each) for each in counts.thresholds],
        "highest": dict(sorted(counts.peaks.items(), key=lambda item: (-item[1], item[0]))),
    }


def as_html(preview: Preview | SeriesPreview, made: date) -> str:
    """Return a page that loads nothing and runs no script, with the day on which it was made."""
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escape_unprintable,
        keep_trailing_newline=True,
    )
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    awards = len(preview.earners)
    step = next(step for step in LADDER if awards / step < _MAX_TICKS)
    page: str = environment.get_template("page.html").render(
        preview=preview,
        made=made,
        style=Markup(style),
        is_series=isinstance(preview, SeriesPreview),
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        ticks=range(0, awards + 1, step),
        busiest=max(preview.over_time.periods, key=lambda period: period.awards, default=None),
    )
    return page


def _escape_unprintable(value: Any) -> Any:
    """Escape what is not printed, such as marks that change the direction of text."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "\n".join(printable(line) for line in value.split("\n"))
