"""``fedbadges backfill``: badges for all who have earned them by now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from fedbadges.cli.bus import publishing
from fedbadges.cli.deployment import Deployment, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.options import format_option
from fedbadges.cli.terminal.interrupts import deferring_interrupts
from fedbadges.cli.terminal.progress_bar import following

if TYPE_CHECKING:
    from fedbadges.buses.fedmsg.publisher import Publisher
    from fedbadges.config.settings import Settings
    from fedbadges.replay import Replay
    from fedbadges.replay.backfill import BackfillResult, DueAward
    from fedbadges.rules.rule import Rule
    from fedbadges.tahrir.database import Tahrir

_EPILOG = """\b
Examples:
  fedbadges backfill rules/wiki/scribe-i.yml rules/wiki/scribe-ii.yml
  fedbadges backfill --award scribe-i scribe-ii
  fedbadges backfill --award --no-publish --format json scribe-i

\b
Exit codes: 0 if all went well, whoever gets something; 1 if tahrir refused
some awards, or it was stopped; 2 if the command cannot run, or was stopped
before anything was found.
"""

#: Seconds to wait until all notices are published.
_PUBLISH_TIMEOUT = 600.0


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, required=True, metavar="RULE…")
@click.option("--award", is_flag=True, help="Award the badges, rather than list the awards.")
@click.option("--no-publish", is_flag=True, help="Publish nothing on the bus.")
@format_option()
@with_deployment()
def backfill(
    deployment: Deployment, names: tuple[str, ...], award: bool, no_publish: bool, form: str
) -> None:
    """Award badges to all who have earned them by now; without --award, only list them.

    RULE is a rule file, or the id of a badge. The whole history is read once. The result is as if
    the rules had always existed: awards have the date when they were earned, and link to the
    message that earned them. Users who hold the badge are skipped, so the command can be stopped at
    any time and run again; the daemon may run meanwhile.
    """
    from fedbadges.cli.backfill.output import FORMATS, summary

    with reporting_errors():
        outcome = _backfill(deployment, names, award, no_publish)
    FORMATS[form](outcome)
    click.echo(summary(outcome), err=True)
    if outcome.error is not None:
        raise CannotRun(*outcome.error.split("\n"))
    if not outcome.complete and not outcome.dues:
        raise SystemExit(CANNOT_RUN)
    good = outcome.complete and not outcome.refused and not outcome.unpublished
    raise SystemExit(GOOD if good else FOUND)


def _backfill(
    deployment: Deployment, names: tuple[str, ...], award: bool, silent: bool
) -> BackfillResult:
    from fedbadges.replay import Replay
    from fedbadges.replay.backfill import BackfillResult
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    tahrir = Tahrir(settings)
    replay = Replay(settings, tahrir)
    rules = deployment.chosen(names, replay.backends)
    backfill = _Backfill(settings, tahrir, replay, rules, BackfillResult(award))
    if not award:
        backfill.find()
        return backfill.outcome
    with nullcontext() if silent else publishing(settings) as publisher:
        backfill.award(publisher)
    return backfill.outcome


@dataclass(frozen=True)
class _Backfill:
    """A backfill of some rules, and what comes of it."""

    settings: Settings
    tahrir: Tahrir
    replay: Replay
    rules: tuple[Rule, ...]
    outcome: BackfillResult

    def find(self) -> None:
        """Find who would get which badge; raise Unavailable."""
        from fedbadges.replay.backfill import not_held

        dues: list[DueAward] = []
        with self._stoppable():
            dues.extend(self._dues())
        self.outcome.dues += not_held(dues, self.tahrir)

    def award(self, publisher: Publisher | None) -> None:
        """Award badges as they are found; the outcome has them, whatever happens afterwards."""
        from fedbadges.replay.backfill import BackfillAwarder, batches

        self._publish_badges()
        publish = (lambda notice: None) if publisher is None else publisher.publish
        awarder = BackfillAwarder(self.tahrir, publish, self.outcome)
        with self._storing_errors(), self._stoppable():
            for batch in batches(self._dues()):
                with deferring_interrupts():
                    awarder.award(batch)
        # After a first Ctrl-C this still has to be done; a second one changes nothing.
        with suppress(KeyboardInterrupt), deferring_interrupts():
            with self._storing_errors():
                awarder.adjust_ranks()
            if publisher is not None and not publisher.finish(_PUBLISH_TIMEOUT):
                self.outcome.unpublished = publisher.unsent

    def _dues(self) -> Iterator[DueAward]:
        from fedbadges.replay.backfill import due_award

        for earned in self.replay.run(self.rules, measure=False):
            yield due_award(earned, self.settings)

    def _publish_badges(self) -> None:
        """Publish the badges in tahrir; raise CannotRun if one of them cannot be awarded."""
        published = self.tahrir.publish_badges(rule.badge for rule in self.rules)
        wrong = [f"{badge_id}: {why}" for badge_id, why in published.refused.items()]
        wrong += [
            f"{badge_id}: tahrir has this as a legacy badge, which nobody can be given"
            for badge_id in sorted(published.legacy)
        ]
        if wrong:
            raise CannotRun(*wrong)

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Show the progress of the block; end it on Ctrl-C."""
        try:
            with following("Reading the history", lambda: (self.replay.done, self.replay.total)):
                yield
        except KeyboardInterrupt:
            self.outcome.complete = False

    @contextmanager
    def _storing_errors(self) -> Iterator[None]:
        """Store an error of a database in the outcome, so that the awards can be shown."""
        try:
            with reporting_errors():
                yield
        except CannotRun as trouble:
            self.outcome.error = self.outcome.error or trouble.message
