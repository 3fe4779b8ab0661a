"""A preview as a page: one file, which asks nothing of any network and runs no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from datetime import date
from importlib.resources import files

from fedbadges.cli.preview.distribution import Distribution
from fedbadges.cli.preview.markup import Markup, joined, tag
from fedbadges.cli.preview.plots import curve, histogram
from fedbadges.cli.preview.preview import Earner, Preview


def page(preview: Preview, made: date) -> str:
    """Write the page, which says that it was made on that day."""
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    main = tag(
        "main",
        _header(preview),
        tag(
            "div",
            *_curve(preview),
            *_histogram(preview.counts),
            *_thresholds(preview.counts),
            tag("section", tag("h2", "The rule"), tag("pre", tag("code", preview.text))),
            class_="columns",
        ),
        *_earners(preview),
        tag("footer", f"Made by fedbadges on {made}, from {preview.read} messages."),
    )
    return joined(
        Markup("<!DOCTYPE html>\n"),
        tag("html", _head(f"{preview.badge.name}: a preview", style), tag("body", main), lang="en"),
        "\n",
    )


def _head(title: str, style: str) -> Markup:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(style)),
    )


def _header(preview: Preview) -> Markup:
    badge = preview.badge
    return tag(
        "header",
        tag("p", f"Preview of the badge {badge.id}", class_="quiet"),
        tag("h1", badge.name),
        tag("p", badge.description),
        tag("p", preview.summary, class_="summary"),
    )


def _curve(preview: Preview) -> Iterator[Markup]:
    if not preview.earners:
        return
    unit, periods = preview.over_time
    most = max(periods, key=lambda each: each.awards)
    yield tag(
        "figure",
        tag("h2", "Awards over time"),
        curve(sorted(earner.when for earner in preview.earners)),
        tag("figcaption", f"The most in one {unit}: {most.awards} ({most.name})."),
    )


def _histogram(counts: Distribution | None) -> Iterator[Markup]:
    if counts is not None and counts.bins:
        yield tag(
            "figure",
            tag("h2", "How far people got"),
            histogram(counts),
            tag("figcaption", "Each person once, by the highest count that they reached."),
        )


def _thresholds(counts: Distribution | None) -> Iterator[Markup]:
    if counts is None or not counts.thresholds:
        return
    own = next(each.awards for each in counts.thresholds if each.own)
    rows = [
        tag(
            "tr",
            tag("td", str(each.at_least)),
            tag("td", str(each.awards)),
            tag("td", "the rule's" if each.own else f"{each.awards - own:+}"),
            **({"class_": "own"} if each.own else {}),
        )
        for each in counts.thresholds
    ]
    yield tag(
        "section",
        tag("h2", "With another threshold"),
        _table(("At least", "Awards", "Difference"), rows, class_="numbers"),
    )


def _earners(preview: Preview) -> Iterator[Markup]:
    if preview.earners:
        yield tag(
            "section",
            tag("h2", "Who would have it, and since when"),
            _table(("Who", "When (UTC)", "Message"), map(_earner, preview.earners)),
            class_="people",
        )


def _earner(earner: Earner) -> Markup:
    when = earner.when
    message = tag("bdi", earner.topic)
    if earner.link is not None:
        message = tag("a", message, href=earner.link, rel="noreferrer")
    day, minute = tag("span", str(when.date())), tag("span", f"{when:%H:%M}")
    return tag(
        "tr",
        tag("td", tag("bdi", earner.user)),
        tag("td", tag("time", day, " ", minute, datetime=f"{when.isoformat()}Z")),
        tag("td", message),
    )


def _table(titles: Iterable[str], rows: Iterable[Markup], **attributes: str) -> Markup:
    head = (tag("th", title, scope="col") for title in titles)
    return tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), **attributes)
