"""``fedbadges backfill``: badges for all who have earned them by now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import click

from fedbadges.cli.backfill.awarding import READING, award_all, publish_badges, stoppable
from fedbadges.cli.backfill.groups import backfill_groups
from fedbadges.cli.backfill.output import print_result, result_data, summary
from fedbadges.cli.completion import complete_rule
from fedbadges.cli.deployment import Deployment, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.selection import describe_selection, selection_data, with_selection
from fedbadges.cli.terminal import following, format_option, print_json
from fedbadges.util.text import pluralize

if TYPE_CHECKING:
    from fedbadges.replay.backfill import BackfillResult, DueAward
    from fedbadges.replay.selection import Selection

_EPILOG = """\b
Examples:
  fedbadges backfill rules/wiki/scribe.yml
  fedbadges backfill --award scribe-wiki-i scribe-wiki-ii
  fedbadges backfill --award --since 2014-10-03 scribe-wiki-i
  fedbadges backfill --award --no-publish --format json scribe-wiki-i
  fedbadges backfill --progress
  fedbadges backfill --groups

\b
Exit codes: 0 if all went well, even without awards; 1 if tahrir refused some
awards, FASJSON lacks a group, or it was stopped; 2 if the command cannot run,
or was stopped before anything was found.
"""


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="RULE…", shell_complete=complete_rule)
@click.option("--award", is_flag=True, help="Award the badges, rather than list the awards.")
@click.option("--no-publish", is_flag=True, help="Publish nothing on the bus.")
@click.option(
    "--progress",
    is_flag=True,
    help="Award nothing, but tell tahrir how far everybody is; without RULE, with all badges.",
)
@click.option(
    "--groups",
    is_flag=True,
    help="Award the badges of 'badges.group_badges' to those who are in the groups now.",
)
@click.option("--dry-run", is_flag=True, help="With --groups, only list the awards.")
@format_option()
@with_selection
@with_deployment()
def backfill(
    deployment: Deployment,
    selection: Selection,
    names: tuple[str, ...],
    award: bool,
    no_publish: bool,
    progress: bool,
    groups: bool,
    dry_run: bool,
    form: str,
) -> None:
    """Award badges to all who have earned them by now; without --award, only list them.

    RULE is a rule file, or the id of a badge. The whole history is read once. The result is as if
    the rules had always existed: awards have the date when they were earned, and link to the
    message that earned them. Badges that follow from these are awarded with them. Users who hold
    the badge are skipped, so the command can be stopped at any time and run again; the daemon may
    run meanwhile. With --since it is as if the rules had existed since then.
    """
    _check_selection(selection, award=award, progress=progress, groups=groups)
    if groups:
        if names or progress:
            raise click.UsageError("--groups takes neither RULE nor --progress.")
        _report(backfill_groups(deployment, award=not dry_run, silent=no_publish), form)
    if dry_run:
        raise click.UsageError(
            "--dry-run goes with --groups: without --award, rules award nothing."
        )
    if progress and award:
        raise click.UsageError("--progress awards nothing: call the command twice.")
    if progress:
        _write_progress(deployment, names, selection, form)
        return
    if not names:
        raise click.UsageError("Missing argument 'RULE…'.")
    _report(_backfill(deployment, names, selection, award, no_publish), form, selection)


def _check_selection(selection: Selection, *, award: bool, progress: bool, groups: bool) -> None:
    """Raise UsageError for options that do not go together."""
    from fedbadges.replay.selection import EVERYTHING

    if selection.sample is not None and award:
        raise click.UsageError(
            "--sample estimates, and --award gives badges to all who earned them."
        )
    timed = selection.since is not None or selection.until is not None
    if progress and (timed or selection.sample is not None):
        raise click.UsageError("--progress is of now, and of everybody or some --user.")
    if groups and selection != EVERYTHING:
        raise click.UsageError("--groups takes no --since, --until, --user or --sample.")


def _report(result: BackfillResult, form: str, selection: Selection | None = None) -> NoReturn:
    """Print the result, and exit."""
    people = len({due.award.username for due in result.dues})
    chosen = {} if selection is None else selection_data(selection, people)
    if form == "json":
        print_json(result_data(result) | chosen)
    else:
        print_result(result)
    for note in () if selection is None else describe_selection(selection, people):
        click.echo(note, err=True)
    click.echo(summary(result), err=True)
    if result.error is not None:
        raise CannotRun(*result.error.split("\n"))
    if not result.complete and not result.dues:
        raise SystemExit(CANNOT_RUN)
    wrong = result.refused or result.unpublished or result.left or result.missing
    raise SystemExit(GOOD if result.complete and not wrong else FOUND)


def _backfill(
    deployment: Deployment,
    names: tuple[str, ...],
    selection: Selection,
    award: bool,
    silent: bool,
) -> BackfillResult:
    from fedbadges.replay.backfill import BackfillResult, due_award, not_held
    from fedbadges.replay.replay import Replay
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    tahrir = Tahrir(settings, announce=not silent)
    replay = Replay(settings, tahrir)
    rules = deployment.chosen(names, replay.backends)
    untriggered = deployment.untriggered(replay.backends)
    result = BackfillResult(award)
    found = replay.run(
        rules, measure=False, skip_held=True, selection=selection, following=untriggered
    )
    dues = (due_award(earned, settings) for earned in found)
    if award:
        with deployment.publishing(tahrir, silent=silent) as outbox:
            publish_badges(tahrir, (rule.badge for rule in rules))
            award_all(tahrir, outbox, result, dues, lambda: (replay.done, replay.total))
        return result
    due: list[DueAward] = []
    with stoppable(result, lambda: (replay.done, replay.total)):
        due.extend(dues)
    result.dues += not_held(due, tahrir)
    return result


def _write_progress(
    deployment: Deployment, names: tuple[str, ...], selection: Selection, form: str
) -> None:
    """Write how far those who are selected are; raise CannotRun if not all was read."""
    from fedbadges.replay.backfill import write_progress
    from fedbadges.replay.replay import Replay
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    replay = Replay(settings, Tahrir(settings))
    chosen = deployment.chosen(names, replay.backends) if names else None
    rules = deployment.rules(replay.backends) if chosen is None else chosen
    with reporting_errors():
        try:
            with following(READING, lambda: (replay.done, replay.total)):
                for _ in replay.run(
                    rules, measure=False, skip_held=True, values=True, selection=selection
                ):
                    pass
        except KeyboardInterrupt:
            raise CannotRun("Stopped before the end of the history: nothing was written") from None
        written = write_progress(settings, replay.values)
    people = len({name for _, name in replay.values})
    if form == "json":
        print_json({"values": len(replay.values), "people": people, "written": written})
    text = f"{pluralize(len(replay.values), 'value')} of {pluralize(people, 'person', 'people')}"
    click.echo(f"{text}, {written} written", err=True)
