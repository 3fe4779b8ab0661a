"""The options that say which messages may earn badges, and whose badges are looked at."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from fedbadges.util.moments import to_moment
from fedbadges.util.text import printable

if TYPE_CHECKING:
    from fedbadges.replay.selection import Selection

_PERCENT = re.compile(r"\s*(\d{1,3}(?:\.\d{1,6})?)\s*%\s*")


def _read_moment(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """Return a date, or an age such as ``30 days ago``, as naive UTC."""
    if text is None:
        return None
    found = to_moment(text, datetime.now(timezone.utc).replace(tzinfo=None))
    if found is None:
        raise click.BadParameter(f"{text!r} is no date or age, such as 2014-10-03 or '30 days ago'")
    return found


def _read_share(context: click.Context, option: click.Parameter, text: str | None) -> Any:
    """Return a share of people, which is in percent."""
    if text is None:
        return None
    found = _PERCENT.fullmatch(text)
    share = float(found[1]) / 100 if found else 0.0
    if not 0 < share < 1:
        raise click.BadParameter(f"{text!r} is no share of people, such as 10%")
    return share


_OPTIONS = (
    click.option(
        "--since",
        callback=_read_moment,
        metavar="TIME",
        help="Only messages sent from then on earn a badge; older ones still count. A date, or an "
        "age such as '30 days ago'.",
    ),
    click.option(
        "--until",
        callback=_read_moment,
        metavar="TIME",
        help="Only messages sent before earn a badge.",
    ),
    click.option(
        "--user",
        "users",
        multiple=True,
        metavar="NAME",
        help="Look at this user alone; may be given several times.",
    ),
    click.option(
        "--sample",
        callback=_read_share,
        metavar="PERCENT",
        help="Look at a share of all people, such as 10%, and estimate the rest.",
    ),
)


def with_selection(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets a ``selection``."""

    @functools.wraps(command)
    def call(
        since: datetime | None,
        until: datetime | None,
        users: tuple[str, ...],
        sample: float | None,
        **options: Any,
    ) -> None:
        from fedbadges.replay.selection import Selection

        if since is not None and until is not None and since >= until:
            raise click.UsageError("--until is not after --since.")
        if users and sample is not None:
            raise click.UsageError("--user names people, and --sample chooses them: give one.")
        names = frozenset(name.lower() for name in users)
        command(selection=Selection(since, until, names, sample), **options)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), call)


def describe_selection(selection: Selection, people: int) -> Iterator[str]:
    """Yield what was selected, in a sentence each; nothing if that is everything.

    ``people`` is how many have earned something: what a sample says of everybody.
    """
    from fedbadges.replay.selection import estimate

    since, until = selection.since, selection.until
    if since is not None or until is not None:
        from_then = [] if since is None else [f"from {_time(since)} on"]
        before = [] if until is None else [f"before {_time(until)}"]
        older = "; older ones count as well" if from_then else ""
        yield f"Only messages sent {' and '.join(from_then + before)} could earn a badge{older}."
    if selection.users:
        yield f"Users looked at: {', '.join(map(printable, sorted(selection.users)))}."
    if selection.sample is not None:
        likely, least, most = estimate(people, selection.sample)
        yield f"This is a sample of {selection.sample * 100:g} % of all people, the same each time."
        yield f"Of all people, about {likely} would have a badge, probably {least} to {most}."


def selection_data(selection: Selection, people: int) -> dict[str, Any]:
    """Return what was selected for JSON, with the estimate of a sample; {} for everything."""
    from fedbadges.replay.selection import EVERYTHING, estimate

    if selection == EVERYTHING:
        return {}
    sample = selection.sample
    data = {
        "since": selection.since and f"{selection.since.isoformat()}Z",
        "until": selection.until and f"{selection.until.isoformat()}Z",
        "users": sorted(selection.users) or None,
        "sample": sample,
        "estimate": sample and estimate(people, sample)._asdict(),
    }
    return {"selection": data}


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC".replace(" 00:00:00 UTC", "")
