"""A preview as a page: one file, which loads nothing from any network and runs no script."""

import base64
import hashlib
from datetime import date
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fedbadges.cli.preview.figures import LADDER, Preview
from fedbadges.util.text import printable

#: There are fewer lines than these above the first, behind the curve.
_MAX_TICKS = 5


def as_html(preview: Preview, made: date) -> str:
    """Return the page, with the day on which it was made."""
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
