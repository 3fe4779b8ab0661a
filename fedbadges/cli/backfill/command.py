"""``fedbadges backfill``: badges for all who have earned them by now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from fedbadges.cli.bus import publishing
from fedbadges.cli.deployment import Deployment, failing_clearly, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun
from fedbadges.cli.terminal.formats import with_format
from fedbadges.cli.terminal.interrupts import undisturbed
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

#: Seconds to let the bus have what is to be said.
_BUS_PATIENCE = 600.0


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, required=True, metavar="RULE…")
@click.option("--award", is_flag=True, help="Give the badges, rather than say who would get them.")
@click.option("--no-publish", is_flag=True, help="Say nothing on the bus.")
@with_format()
@with_deployment()
def backfill(
    deployment: Deployment, names: tuple[str, ...], award: bool, no_publish: bool, form: str
) -> None:
    """Give badges to all who have earned them by now; without --award, only say who they are.

    RULE is a rule file, or the id of a badge. The whole history is gone through once. What comes of
    it is what would be, had the rules existed from the beginning: awards are dated when they were
    earned, and link to the message that did it. Who holds the badge is skipped, so it can be
    stopped at any time and run again; and the daemon may run meanwhile.
    """
    from fedbadges.cli.backfill.output import FORMATS, summary

    with failing_clearly():
        outcome = _backfill(deployment, names, award, no_publish)
    FORMATS[form](outcome)
    click.echo(summary(outcome), err=True)
    if outcome.error is not None:
        raise CannotRun([outcome.error])
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
        backfill.look()
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

    def look(self) -> None:
        """Find who would get what; raises Unavailable."""
        from fedbadges.replay.backfill import not_held

        dues: list[DueAward] = []
        with self._stoppable():
            dues.extend(self._dues())
        self.outcome.dues += not_held(dues, self.tahrir)

    def award(self, publisher: Publisher | None) -> None:
        """Give badges as they are found; what is given is in the outcome, whatever happens then."""
        from fedbadges.replay.backfill import BackfillAwarder, batches

        self._publish_badges()
        publish = (lambda notice: None) if publisher is None else publisher.publish
        awarder = BackfillAwarder(self.tahrir, publish, self.outcome)
        with self._noting_trouble(), self._stoppable():
            for batch in batches(self._dues()):
                with undisturbed():
                    awarder.award(batch)
        # Who has pressed Ctrl-C once gets it all to a good end, and need not press it again.
        with suppress(KeyboardInterrupt), undisturbed():
            with self._noting_trouble():
                awarder.adjust_ranks()
            if publisher is not None and not publisher.finish(_BUS_PATIENCE):
                self.outcome.unpublished = publisher.unsent

    def _dues(self) -> Iterator[DueAward]:
        from fedbadges.replay.backfill import due_award

        for earned in self.replay.run(self.rules, measure=False):
            yield due_award(earned, self.settings)

    def _publish_badges(self) -> None:
        """Make tahrir show the badges; raises CannotRun where one cannot be given to anybody."""
        published = self.tahrir.publish_badges(rule.badge for rule in self.rules)
        wrong = [f"{badge_id}: {why}" for badge_id, why in published.refused.items()]
        wrong += [
            f"{badge_id}: tahrir has this as a legacy badge, which nobody can be given"
            for badge_id in sorted(published.legacy)
        ]
        if wrong:
            raise CannotRun(wrong)

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Show how far it is, until it is done or somebody presses Ctrl-C."""
        try:
            with following("Reading the history", lambda: (self.replay.done, self.replay.total)):
                yield
        except KeyboardInterrupt:
            self.outcome.complete = False

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        """Take note of what a database says, so that what is done can be told nevertheless."""
        try:
            with failing_clearly():
                yield
        except CannotRun as trouble:
            self.outcome.error = self.outcome.error or trouble.message
