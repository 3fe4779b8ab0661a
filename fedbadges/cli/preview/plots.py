"""The plots of a preview's page, as SVG that takes its colours from the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from fedbadges.cli.preview.distribution import LADDER, Distribution, span
from fedbadges.cli.preview.markup import Markup, joined, tag

#: Units of the plots, which are as many pixels or so on a phone.
_WIDTH = 340
_ROW = 26
_CHARACTER = 8
_GAP = 8

#: Where the curve is drawn, to the right of its numbers.
_TOP, _RIGHT, _BOTTOM = 8, 334, 180
_HEIGHT = 208

_MOST_TICKS = 5


def curve(moments: Sequence[datetime]) -> Markup:
    """Draw how many would have the badge by when; ``moments`` of awards, the oldest first."""
    first, last = moments[0], moments[-1]
    length = max(last - first, timedelta(days=1))
    most = len(moments)
    left = _CHARACTER * len(str(most)) + 2 * _GAP
    points: dict[float, int] = {}
    for total, moment in enumerate(moments, 1):
        points[round(left + (_RIGHT - left) * ((moment - first) / length), 1)] = total
    line = "".join(f"H{x}V{_height(total, most)}" for x, total in points.items())
    start, end = f"M{left} {_height(0, most)}", f"H{_RIGHT}"
    return _svg(
        "Awards over time",
        f"From the first award on {first.date()} to {most} in all on {last.date()}.",
        _HEIGHT,
        *_heights(left, most),
        *_dates(left, first, last),
        tag("path", d=f"{start}{line}{end}V{_height(0, most)}Z", class_="area"),
        tag("path", d=f"{start}{line}{end}", class_="curve"),
    )


def histogram(counts: Distribution) -> Markup:
    """Draw how many people got how far, and where the badge begins."""
    names = [span(each) for each in counts.bins]
    left = _CHARACTER * max(map(len, names)) + _GAP
    most = max(each.people for each in counts.bins)
    room = _WIDTH - left - _GAP - _CHARACTER * len(str(most))
    drawn: list[Markup] = []
    top, marked = 0, False
    for name, each in zip(names, counts.bins, strict=True):
        if each.awarded and not marked:
            drawn.append(_threshold(counts, top))
            top, marked = top + _ROW, True
        width = max(round(room * each.people / max(most, 1), 1), 1 if each.people else 0)
        middle = top + _ROW * 0.7
        drawn += [
            tag("text", name, x=round(left - _GAP, 1), y=middle, text_anchor="end"),
            tag(
                "rect",
                x=round(left, 1),
                y=top + 4,
                width=width,
                height=_ROW - 8,
                rx=2,
                class_="short" if each.awarded is False else "given",
            ),
            tag("text", str(each.people), x=round(left + width + _GAP / 2, 1), y=middle),
        ]
        top += _ROW
    return _svg("How far people got", _told(counts), top, *drawn)


def _told(counts: Distribution) -> str:
    told = "; ".join(f"{span(each)}: {each.people}" for each in counts.bins)
    if counts.own is None:
        return f"{told}."
    return f"{told}. The badge begins at {counts.own}."


def _threshold(counts: Distribution, top: float) -> Markup:
    assert counts.own is not None
    words = f"the badge, from {counts.own} on"
    line = top + _ROW - 3
    return joined(
        tag("text", words, x=_WIDTH, y=top + _ROW * 0.7 - 3, text_anchor="end", class_="mark"),
        tag("line", x1=0, x2=_WIDTH, y1=line, y2=line, class_="mark"),
    )


def _height(total: int, most: int) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * total / most, 1)


def _heights(left: float, most: int) -> Iterator[Markup]:
    step = next(step for step in LADDER if most / step < _MOST_TICKS)
    for total in range(0, most + 1, step):
        y = _height(total, most)
        yield tag("line", x1=left, x2=_RIGHT, y1=y, y2=y, class_="grid")
        yield tag("text", str(total), x=left - _GAP, y=y + 5, text_anchor="end")


def _dates(left: float, first: datetime, last: datetime) -> Iterator[Markup]:
    places = [(left, first, "start")]
    if last - first > timedelta(days=2):
        places.append(((left + _RIGHT) / 2, first + (last - first) / 2, "middle"))
    if last - first >= timedelta(days=1):
        places.append((_RIGHT, last, "end"))
    for x, when, anchor in places:
        yield tag("line", x1=x, x2=x, y1=_BOTTOM, y2=_BOTTOM + 5, class_="grid")
        yield tag("text", str(when.date()), x=x, y=_BOTTOM + 22, text_anchor=anchor)


def _svg(title: str, description: str, height: float, *content: Markup) -> Markup:
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        *content,
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
    )
