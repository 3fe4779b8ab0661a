"""A preview as a page: one file, which loads nothing from any network and runs no script."""

from __future__ import annotations

import base64
import hashlib
from datetime import date
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fedbadges.cli.preview.plots import Curve, Histogram
from fedbadges.cli.preview.preview import Preview
from fedbadges.util.text import printable


def as_html(preview: Preview, made: date) -> str:
    """Return the page, with the day on which it was made."""
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable_lines,
        keep_trailing_newline=True,
    )
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    counts, periods = preview.counts, preview.over_time.periods
    page: str = environment.get_template("page.html").render(
        preview=preview,
        made=made,
        style=Markup(style),
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        busiest=max(periods, key=lambda period: period.awards, default=None),
        curve=Curve([earner.when for earner in preview.earners]) if preview.earners else None,
        histogram=Histogram(counts) if counts is not None and counts.bins else None,
    )
    return page


def _printable_lines(value: Any) -> Any:
    """Write what is not printed, such as marks that change the direction of text, as its code."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "\n".join(printable(line) for line in value.split("\n"))
