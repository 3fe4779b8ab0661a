"""``fedbadges backfill``: badges for all who have earned them by now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import Deployment, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.terminal import (
    deferring_interrupts,
    following,
    format_option,
    make_table,
    make_text,
    print_json,
    print_lines,
)
from fedbadges.util.text import pluralize, printable

if TYPE_CHECKING:
    from fedbadges.outbox.outbox import Outbox
    from fedbadges.replay.backfill import BackfillResult, DueAward
    from fedbadges.replay.replay import Replay
    from fedbadges.rules.rule import Rule
    from fedbadges.tahrir.database import Tahrir

_EPILOG = """\b
Examples:
  fedbadges backfill rules/wiki/scribe.yml
  fedbadges backfill --award scribe-wiki-i scribe-wiki-ii
  fedbadges backfill --award --no-publish --format json scribe-wiki-i
  fedbadges backfill --progress

\b
Exit codes: 0 if all went well, even without awards; 1 if tahrir refused some
awards, or it was stopped; 2 if the command cannot run, or was stopped before
anything was found.
"""

#: Seconds to wait until all notices are published.
_PUBLISH_TIMEOUT = 600.0


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="RULE…")
@click.option("--award", is_flag=True, help="Award the badges, rather than list the awards.")
@click.option("--no-publish", is_flag=True, help="Publish nothing on the bus.")
@click.option(
    "--progress",
    is_flag=True,
    help="Award nothing, but tell tahrir how far everybody is; without RULE, with all badges.",
)
@format_option()
@with_deployment()
def backfill(
    deployment: Deployment,
    names: tuple[str, ...],
    award: bool,
    no_publish: bool,
    progress: bool,
    form: str,
) -> None:
    """Award badges to all who have earned them by now; without --award, only list them.

    RULE is a rule file, or the id of a badge. The whole history is read once. The result is as if
    the rules had always existed: awards have the date when they were earned, and link to the
    message that earned them. Badges that follow from these are awarded with them. Users who hold
    the badge are skipped, so the command can be stopped at any time and run again; the daemon may
    run meanwhile.
    """
    if progress and award:
        raise click.UsageError("--progress awards nothing: call the command twice.")
    if progress:
        _write_progress(deployment, names, form)
        return
    if not names:
        raise click.UsageError("Missing argument 'RULE…'.")
    result = _backfill(deployment, names, award, no_publish)
    if form == "json":
        print_json(_data(result))
    else:
        _print(result)
    click.echo(_summary(result), err=True)
    if result.error is not None:
        raise CannotRun(*result.error.split("\n"))
    if not result.complete and not result.dues:
        raise SystemExit(CANNOT_RUN)
    good = result.complete and not (result.refused or result.unpublished or result.left)
    raise SystemExit(GOOD if good else FOUND)


def _backfill(
    deployment: Deployment, names: tuple[str, ...], award: bool, silent: bool
) -> BackfillResult:
    from fedbadges.replay.backfill import BackfillResult, due_award, not_held
    from fedbadges.replay.replay import Replay
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    tahrir = Tahrir(settings, announce=not silent)
    replay = Replay(settings, tahrir)
    rules = deployment.chosen(names, replay.backends)
    following = deployment.untriggered(replay.backends)
    result = BackfillResult(award)
    found_by = replay.run(rules, measure=False, skip_held=True, following=following)
    dues = (due_award(earned, settings) for earned in found_by)
    if award:
        with deployment.publishing(tahrir, silent=silent) as outbox:
            _publish_badges(tahrir, rules)
            _award(tahrir, outbox, result, dues, replay)
        return result
    found: list[DueAward] = []
    with _stoppable(result, replay):
        found.extend(dues)
    result.dues += not_held(found, tahrir)
    return result


def _write_progress(deployment: Deployment, names: tuple[str, ...], form: str) -> None:
    """Write how far everybody is; raise CannotRun if the history was not read to its end."""
    from fedbadges.replay.backfill import write_progress
    from fedbadges.replay.replay import Replay
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    replay = Replay(settings, Tahrir(settings))
    chosen = deployment.chosen(names, replay.backends) if names else None
    rules = deployment.rules(replay.backends) if chosen is None else chosen
    with reporting_errors():
        try:
            with following("Reading the history", lambda: (replay.done, replay.total)):
                for _ in replay.run(rules, measure=False, skip_held=True, values=True):
                    pass
        except KeyboardInterrupt:
            raise CannotRun("Stopped before the end of the history: nothing was written") from None
        written = write_progress(settings, replay.values)
    people = len({name for _, name in replay.values})
    if form == "json":
        print_json({"values": len(replay.values), "people": people, "written": written})
    text = f"{pluralize(len(replay.values), 'value')} of {pluralize(people, 'person', 'people')}"
    click.echo(f"{text}, {written} written", err=True)


def _publish_badges(tahrir: Tahrir, rules: Iterable[Rule]) -> None:
    """Publish the badges in tahrir; raise CannotRun if one of them cannot be awarded."""
    published = tahrir.publish_badges(rule.badge for rule in rules)
    legacy = "this is a legacy badge in tahrir, which cannot be awarded"
    wrong = {**published.refused, **dict.fromkeys(sorted(published.legacy), legacy)}
    if wrong:
        raise CannotRun(*(f"{badge_id}: {why}" for badge_id, why in wrong.items()))


def _award(
    tahrir: Tahrir,
    outbox: Outbox | None,
    result: BackfillResult,
    dues: Iterable[DueAward],
    replay: Replay,
) -> None:
    """Award badges as they are found; the result has them, whatever happens afterwards."""
    from fedbadges.replay.backfill import award_batch, batches

    publish = (lambda notice: None) if outbox is None else outbox.publish
    with _storing_errors(result), _stoppable(result, replay):
        for batch in batches(dues):
            with deferring_interrupts():
                award_batch(batch, tahrir, publish, result)
    # After a first Ctrl-C this still has to be done; a second one changes nothing.
    with suppress(KeyboardInterrupt), deferring_interrupts():
        with _storing_errors(result):
            # Even if nothing was awarded: an earlier run may have been stopped before its ranks.
            for notice in tahrir.adjust_ranks(result.person_ids):
                publish(notice)
        if outbox is not None and not outbox.finish(_PUBLISH_TIMEOUT):
            result.unpublished, result.left = outbox.lost, outbox.left


@contextmanager
def _stoppable(result: BackfillResult, replay: Replay) -> Iterator[None]:
    """Show the progress of the block; end it on Ctrl-C."""
    try:
        with following("Reading the history", lambda: (replay.done, replay.total)):
            yield
    except KeyboardInterrupt:
        result.complete = False


@contextmanager
def _storing_errors(result: BackfillResult) -> Iterator[None]:
    """Store an error of a database in the result, so that the awards can be shown."""
    try:
        with reporting_errors():
            yield
    except CannotRun as error:
        result.error = result.error or error.message


def _summary(result: BackfillResult) -> str:
    badges = pluralize(len(result.dues), "badge")
    people = pluralize(len({due.award.username for due in result.dues}), "person", "people")
    text = f"{badges} {'awarded' if result.awarding else 'to award'} to {people}"
    if result.dues and not result.awarding:
        text += "; --award awards them"
    if result.refused:
        text += f"; tahrir refused {len(result.refused)}"
    if result.unpublished:
        text += f"; {result.unpublished} not published on the bus"
    if result.left:
        text += f"; {pluralize(result.left, 'notice')} left to the daemon to publish"
    return text if result.complete else f"Stopped before the end of the history: {text}"


def _print(result: BackfillResult) -> None:
    """Print a table of the awards; refused ones go to standard error."""
    for due, why in result.refused:
        line = f"{due.award.badge_id} for {due.award.username} was refused: {why}"
        click.echo(printable(line), err=True)
    if not result.dues:
        return
    table = make_table("Badge", "User", "Earned (UTC)", "Because of")
    for due in result.dues:
        table.add_row(
            make_text((due.award.badge_id, "cyan")),
            make_text((due.award.username, "bold")),
            f"{due.award.issued_on:%Y-%m-%d %H:%M:%S}",
            make_text((due.topic if due.msg_id is None else f"{due.topic} {due.msg_id}", "dim")),
        )
    print_lines(table)


def _data(result: BackfillResult) -> dict[str, Any]:
    return {
        "awarded": result.awarding,
        "complete": result.complete and result.error is None,
        "awards": [_award_data(due) for due in result.dues],
        "refused": [_award_data(due) | {"reason": why} for due, why in result.refused],
    }


def _award_data(due: DueAward) -> dict[str, Any]:
    award = due.award
    return {
        "badge": award.badge_id,
        "user": award.username,
        "earned": f"{award.issued_on.isoformat()}Z",
        "topic": due.topic,
        "msg_id": due.msg_id,
        "link": award.link,
    }
