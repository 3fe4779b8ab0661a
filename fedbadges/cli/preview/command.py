"""``fedbadges preview``: who would have a badge if its rule had always been there."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedbadges.cli.completion import complete_rule
from fedbadges.cli.deployment import RULES, TAHRIR, Deployment, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun
from fedbadges.cli.selection import with_selection
from fedbadges.cli.terminal import following, format_option, print_json

if TYPE_CHECKING:
    from fedbadges.cli.preview.figures import Earner, Preview
    from fedbadges.cli.preview.series import SeriesPreview
    from fedbadges.replay.history_as_of import Asked
    from fedbadges.replay.replay import Replay
    from fedbadges.replay.selection import Selection
    from fedbadges.rules.rule import Rule

#: From how many seconds on it is said what the chart takes.
_NOTABLE = 1.0

_EPILOG = """\b
Examples:
  fedbadges preview rules/wiki/scribe.yml
  fedbadges preview --limit 100 scribe
  fedbadges preview --since '1 year ago' --user alice scribe
  fedbadges preview --sample 10% scribe
  fedbadges preview --html scribe.html rules/wiki/scribe.yml
  fedbadges preview --format json --history-url postgresql://localhost/datanommer scribe

\b
Nothing is awarded, and nothing is written but the page.
"""


@click.command(epilog=_EPILOG)
@click.argument("rule", metavar="RULE", shell_complete=complete_rule)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="NUMBER",
    help="How many of the people text shows; JSON and the page have all.",
)
@format_option()
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it also as a page, one file for any browser.",
)
@click.option(
    "--chart/--no-chart",
    default=True,
    help="With or without how far people got, and other thresholds. For some rules, that asks "
    "datanommer about everybody who has the badge already.",
)
@with_selection
@with_deployment(RULES, TAHRIR)
def preview(
    deployment: Deployment,
    selection: Selection,
    rule: str,
    limit: int,
    form: str,
    html: Path | None,
    chart: bool,
) -> None:
    """Show who would have a badge by now, and how many would for another threshold.

    RULE is a rule file, or the id of a badge; a series that one file gives is shown as one. The
    whole history is read, as if the rule had always existed. Users who opted out in tahrir, if one
    is configured, are left out. With --since it is as if the rule had existed since then.
    """
    from fedbadges.cli.preview.output import data_of_preview, print_preview

    if html is not None and not html.parent.is_dir():
        raise CannotRun(f"--html: there is no directory {str(html.parent)!r}")
    found = _preview(deployment, rule, selection, chart=chart)
    try:
        if form == "json":
            print_json(data_of_preview(found))
        else:
            print_preview(found, limit)
    finally:  # also if nobody reads the text to its end
        if html is not None:
            _write(html, found)
    if found.complete:
        raise SystemExit(GOOD)
    click.echo("Stopped before the end of the history", err=True)
    raise SystemExit(FOUND if found.earners else CANNOT_RUN)


def _preview(
    deployment: Deployment, name: str, selection: Selection, *, chart: bool
) -> Preview | SeriesPreview:
    """Replay the history until its end or Ctrl-C; raise Unavailable, or CannotRun for the rule."""
    from fedbadges.cli.preview.figures import Earner
    from fedbadges.cli.preview.series import SeriesPreview
    from fedbadges.replay.replay import Replay
    from fedbadges.tahrir.awarding import link_to
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    # Without a tahrir, nobody has opted out.
    people = Tahrir(settings) if settings.tahrir_url.database else None
    replay = Replay(settings, people)
    rules = deployment.chosen([name], replay.backends)
    text = Path(rules[0].place.path).read_text(encoding="utf-8", errors="replace")
    earners: dict[str, list[Earner]] = {rule.badge.id: [] for rule in rules}
    complete = False
    progress = following("Reading the history", lambda: (replay.done, replay.total))
    with suppress(KeyboardInterrupt), progress:
        for earned in replay.run(rules, measure=chart, selection=selection):
            message, link = earned.message, link_to(earned.message, settings)
            who, when, topic = earned.username, message.sent, message.topic
            earner = Earner(who, when, topic, message.msg_id, link)
            earners[earned.rule.badge.id].append(earner)
        complete = True
    if replay.asked_for_peaks.seconds >= _NOTABLE:
        click.echo(_cost_of_chart(replay.asked_for_peaks), err=True)
    read = partial(_of_rule, replay, text, selection, complete=complete)
    found = [read(rule, tuple(earners[rule.badge.id])) for rule in rules]
    if len(found) == 1:
        return found[0]
    thresholds = tuple(rule.threshold or 0 for rule in rules)
    return SeriesPreview(rules[0].series or "", tuple(found), thresholds)


def _of_rule(
    replay: Replay,
    text: str,
    selection: Selection,
    rule: Rule,
    earners: tuple[Earner, ...],
    *,
    complete: bool,
) -> Preview:
    from fedbadges.cli.preview.figures import Preview, distribution_of

    peaks = replay.peaks.get(rule.badge.id)
    names = {earner.username for earner in earners}
    counts = None if peaks is None else distribution_of(rule.criteria, peaks, names)
    return Preview(
        badge=rule.badge,
        path=rule.place.path,
        text=text,
        earners=earners,
        counts=counts,
        read=replay.done,
        total=replay.total,
        complete=complete,
        funnel=replay.funnel(rule),
        selection=selection,
    )


def _cost_of_chart(asked: Asked) -> str:
    return (
        f"How far people got took {asked.questions:,} questions to datanommer and "
        f"{asked.seconds:,.1f} seconds more than who would have the badge; --no-chart leaves it out"
    )


def _write(path: Path, found: Preview | SeriesPreview) -> None:
    from fedbadges.cli.preview.output import as_html

    content = as_html(found, datetime.now(timezone.utc).date()).encode("utf-8")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise CannotRun(f"--html: {path} cannot be written: {error.strerror or error}") from None
    click.echo(f"{path}: {math.ceil(len(content) / 1000)} kB", err=True)
