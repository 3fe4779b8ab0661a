"""``fedbadges preview``: who would have a badge, had its rule been there from the beginning."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedbadges.cli.deployment import RULES, TAHRIR, Deployment, failing_clearly, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun
from fedbadges.cli.terminal.formats import with_format
from fedbadges.cli.terminal.progress_bar import following

if TYPE_CHECKING:
    from fedbadges.cli.preview.preview import Preview

_EPILOG = """\b
Examples:
  fedbadges preview rules/wiki/scribe.yml
  fedbadges preview --limit 100 scribe
  fedbadges preview --html scribe.html rules/wiki/scribe.yml
  fedbadges preview --format json --history-url postgresql://localhost/datanommer scribe

\b
Nothing is awarded, and nothing is written but the page.
"""


@click.command(epilog=_EPILOG)
@click.argument("rule", metavar="RULE")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="NUMBER",
    help="How many of the people text shows; JSON and the page have all.",
)
@with_format()
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write it also as a page, one file for any browser.",
)
@with_deployment(RULES, TAHRIR)
def preview(deployment: Deployment, rule: str, limit: int, form: str, html: Path | None) -> None:
    """Say who would have a badge by now, and how many would for another threshold.

    RULE is a rule file, or the id of a badge. The whole history is gone through, as if the rule had
    been there from the beginning. Who opted out in tahrir, where one is configured, is left out.
    """
    # Not at the top: completion and --help want to be fast.
    from fedbadges.cli.preview.as_json import print_json
    from fedbadges.cli.preview.text import print_preview

    if html is not None and not html.parent.is_dir():
        raise CannotRun([f"--html: there is no directory {str(html.parent)!r}"])
    with failing_clearly():
        found = _preview(deployment, rule)
    if form == "json":
        print_json(found)
    else:
        print_preview(found, limit)
    if html is not None:
        _write(html, found)
    if found.complete:
        raise SystemExit(GOOD)
    click.echo("Stopped before the end of the history", err=True)
    raise SystemExit(FOUND if found.earners else CANNOT_RUN)


def _preview(deployment: Deployment, name: str) -> Preview:
    """Go over the history, as far as it may; raises Unavailable, and CannotRun for the rule."""
    from fedbadges.cli.preview.distribution import counts_of
    from fedbadges.cli.preview.preview import Earner, Preview
    from fedbadges.engine.links import link_to
    from fedbadges.replay import Replay
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    # Where no tahrir is configured, there is nobody who opted out.
    people = Tahrir(settings) if settings.tahrir_url.database else None
    replay = Replay(settings, people)
    (rule,) = deployment.chosen([name], replay.backends)
    text = Path(rule.place.path).read_text(encoding="utf-8", errors="replace")
    earners: list[Earner] = []
    complete = True
    try:
        with following("Reading the history", lambda: (replay.done, replay.total)):
            for earned in replay.run([rule]):
                message = earned.message
                earners.append(
                    Earner(
                        earned.username,
                        message.sent,
                        message.topic,
                        message.msg_id,
                        link_to(message, settings),
                    )
                )
    except KeyboardInterrupt:
        complete = False
    names = {earner.user for earner in earners}
    return Preview(
        badge=rule.badge,
        path=rule.place.path,
        text=text,
        earners=tuple(earners),
        counts=counts_of(rule.criteria, replay.peaks.get(rule.badge.id, {}), names),
        read=replay.done,
        total=replay.total,
        complete=complete,
    )


def _write(path: Path, found: Preview) -> None:
    from fedbadges.cli.preview.page import page

    content = page(found, datetime.now(timezone.utc).date()).encode("utf-8")
    try:
        path.write_bytes(content)
    except OSError as error:
        raise CannotRun([f"--html: {path} cannot be written: {error.strerror or error}"]) from None
    click.echo(f"{path}: {math.ceil(len(content) / 1000)} kB", err=True)
