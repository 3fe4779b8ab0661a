"""``fedbadges award``: give a badge to somebody, or to many."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import click

from fedbadges.cli.award.table import Cell, Mistakes, Row, TableFile, read_table
from fedbadges.cli.change import (
    STOPPED,
    adjust_ranks,
    describe,
    log_change,
    operator,
    report,
)
from fedbadges.cli.completion import complete_badge
from fedbadges.cli.deployment import HISTORY, Deployment, with_deployment
from fedbadges.cli.errors import FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.revocations import describe_revocation, revocation_data
from fedbadges.cli.terminal import deferring_interrupts, format_option, print_json
from fedbadges.util.text import describe_error, pluralize, printable

if TYPE_CHECKING:
    from fedbadges.cli.award.requests import Request
    from fedbadges.outbox.outbox import Outbox
    from fedbadges.rules.rule import Badge, Rule
    from fedbadges.tahrir.awarding import AwardResult
    from fedbadges.tahrir.database import Tahrir

_EPILOG = """\b
Examples:
  fedbadges award alice speaker --reason "spoke at the conference"
  fedbadges award alice speaker --reason "spoke at the conference" \\
    --link https://conference.example.org/talks/7
  fedbadges award alice bob carol speaker --reason "see the list" --dry-run
  fedbadges award --from speakers.csv speaker --reason "spoke in 2026"

\b
A table has a line with the names of its columns, of which there are user,
badge, reason, link and when. BADGE, --reason, --link and --when are for the
lines that lack one:
  user,when,link
  alice,2026-11-20,https://conference.example.org/talks/7
  bob,2026-11-21T14:30+01:00,

\b
Exit codes for one USER: 0 if alice has it now, 1 if there was nothing to do,
since she has it already or has opted out, 2 if the command cannot run. For
several, or with --from: 0 if everybody has the badge now, 1 if somebody has
not, 2 if the command cannot run, or was stopped.
"""

#: How many badges are awarded in one transaction.
_BATCH = 500

#: Seconds to wait until all notices of a table are published.
_PUBLISH_TIMEOUT = 600.0

_SUMMARY = {
    "awarded": ("awarded", "to award"),
    "held": ("held before",) * 2,
    "repeated": ("listed twice",) * 2,
    "opted-out": ("opted out",) * 2,
    "refused": ("refused",) * 2,
    "not-reached": ("not reached",) * 2,
}


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="USER... BADGE", shell_complete=complete_badge)
@click.option(
    "--from",
    "table",
    type=TableFile(),
    metavar="FILE",
    help="Award to those in a table, as CSV; - is standard input.",
)
@click.option("--reason", metavar="TEXT", help="Why; for the log and the notice.")
@click.option("--link", metavar="URL", help="The page that the award links to.")
@click.option("--when", metavar="TIME", help="The date of the award, in UTC or with an offset.")
@click.option("--create", is_flag=True, help="Create people whom tahrir does not know.")
@click.option("--dry-run", is_flag=True, help="Print what would happen only.")
@click.option("--no-publish", is_flag=True, help="Publish nothing on the bus.")
@format_option()
@with_deployment(HISTORY)
def award(
    deployment: Deployment,
    names: tuple[str, ...],
    table: BinaryIO | None,
    create: bool,
    dry_run: bool,
    no_publish: bool,
    form: str,
    **values: str | None,
) -> None:
    """Award the badge with the id BADGE to each USER, as the daemon would.

    The award is published as the daemon publishes it, with who awarded it and why, and the ranks
    are adjusted. A badge that tahrir does not have yet is created from its rule. Badges that follow
    from it, by rules without a trigger, are awarded with it. Users who hold the badge, or have
    opted out, get nothing; those who lost it get it again. Nothing is awarded if anything is wrong
    with one of them. If the command is stopped, run it again to award the rest.
    """
    from fedbadges.cli.award.requests import (
        badges_of_rules,
        find_mistakes,
        find_outcomes,
        parse_request,
    )
    from fedbadges.criteria.backends import load_backends
    from fedbadges.tahrir.database import Tahrir

    with reporting_errors(STOPPED):
        mistakes = Mistakes()
        rows = _rows(names, table, values, mistakes)
        requests = [parse_request(row, mistakes) for row in rows]
        tahrir = Tahrir(deployment.settings, announce=not no_publish)
        new = find_mistakes(requests, deployment, tahrir, mistakes, create=create)
        mistakes.check()
        find_outcomes(requests, tahrir)
        one = table is None and len(requests) == 1
        run = _Awarding(tahrir, requests, partial(badges_of_rules, deployment), one)
        if dry_run:
            for each in run.due:
                each.outcome = "awarded"
        elif run.due:
            run.rules = deployment.untriggered(load_backends(deployment.settings))
            with deployment.publishing(tahrir, silent=no_publish) as outbox:
                run.award(new, outbox)
        run.report(form, dry_run)


def _rows(
    names: Sequence[str],
    table: BinaryIO | None,
    values: dict[str, str | None],
    mistakes: Mistakes,
) -> list[Row]:
    """Return a row for each award; raise UsageError if it is not clear what to award."""
    if table is not None:
        if len(names) > 1:
            raise click.UsageError("With --from, the only argument is BADGE")
        return read_table(table, {**values, "badge": names[0] if names else None}, mistakes)
    if len(names) < 2:
        missing = "BADGE" if names else "USER"
        raise click.MissingParameter(param_type="argument", param_hint=f"'{missing}'")
    if values["reason"] is None:
        raise click.MissingParameter(param_type="option", param_hint="'--reason'")
    *users, badge = names
    others = {name: Cell(value) for name, value in values.items()}
    return [{**others, "user": Cell(user), "badge": Cell(badge)} for user in users]


class _Awarding:
    """Awards what was requested; ``one`` if that is for one person on the command line.

    A badge that is deleted meanwhile is created again if it is among ``badges``.
    """

    def __init__(
        self,
        tahrir: Tahrir,
        requests: Sequence[Request],
        badges: Callable[[], Mapping[str, Badge]],
        one: bool,
    ) -> None:
        self._tahrir = tahrir
        self._requests = requests
        self._badges = badges
        self._one = one
        self._on_bus = False
        self._error: CannotRun | None = None
        self._person_ids: list[int] = []
        #: What may follow from the awards.
        self.rules: Sequence[Rule] = ()
        self.due = [each for each in requests if each.outcome == "not-reached"]

    def award(self, new_badges: Sequence[Badge], outbox: Outbox | None) -> None:
        """Award in batches; the requests have the outcomes, whatever happens."""
        try:
            with reporting_errors(STOPPED):
                if new_badges:
                    self._tahrir.publish_badges(new_badges)
                self._award(outbox)
        except CannotRun as error:
            if self._one:
                raise
            self._error = error

    def _award(self, outbox: Outbox | None) -> None:
        try:
            for start in range(0, len(self.due), _BATCH):
                batch = self.due[start : start + _BATCH]
                with deferring_interrupts():
                    lost = self._award_batch(batch, outbox)
                    if lost:
                        self._tahrir.publish_badges(lost)
                        again = [each for each in batch if each.outcome == "refused"]
                        self._award_batch(again, outbox)
        finally:  # also of what was awarded before an outage, or Ctrl-C
            with deferring_interrupts():
                notices = adjust_ranks(self._tahrir, self._person_ids) if self._person_ids else ()
            if outbox is not None:
                for notice in notices:
                    outbox.publish(notice)
                if self._person_ids:
                    self._on_bus = outbox.finish(_PUBLISH_TIMEOUT)
                if outbox.left:
                    left = pluralize(outbox.left, "notice")
                    click.echo(f"{left} left to the daemon to publish", err=True)

    def _award_batch(self, batch: Sequence[Request], outbox: Outbox | None) -> list[Badge]:
        """Award a batch; return the badges of rules that tahrir has no longer."""
        from fedbadges.cli.award.requests import find_outcomes
        from fedbadges.messages import naive_utc
        from fedbadges.tahrir.awarding import Award, ByHand, MissingBadges

        awards = {}
        for each in batch:
            by_hand = ByHand(operator(), printable(each.reason))
            when = each.when or naive_utc(time.time())
            awards[Award(each.badge, each.user, each.link, when, by_hand=by_hand)] = each
        result = self._tahrir.award(awards, self.rules)
        for given in result.given:
            self._person_ids.append(given.person_id)
            if given.award.cause is None:
                request = awards[given.award]
                request.outcome, request.error = "awarded", None
                _log_award(given, request.reason)
            else:
                _log_award(given, f"follows from {given.award.cause.badge_id}")
                text = f"{given.award.username} has {given.award.badge_id} now, which follows"
                click.echo(printable(text), err=True)
            if outbox is not None:
                outbox.publish(given.notice)
        for refused, error in result.refused:
            awards[refused].outcome = "refused"
            awards[refused].error = describe_error(error)
        faster = [each for each in batch if each.outcome == "not-reached"]
        if faster:  # another process was faster, or somebody opted out meanwhile
            find_outcomes(faster, self._tahrir)
        missing = {a.badge_id for a, error in result.refused if isinstance(error, MissingBadges)}
        known = self._badges() if missing else {}
        return [known[badge] for badge in missing if badge in known]

    def report(self, form: str, dry_run: bool) -> NoReturn:
        """Print what became of each request, and exit."""
        if self._one:
            self._report_one(form, dry_run)
        if form == "json":
            print_json(self._data(dry_run))
        else:
            for each in self._requests:
                place = each.row["user"].place
                prefix = "" if place is None else f"{printable(place.path)}:{place.line}: "
                text = describe(each.outcome, each.user, each.badge, dry_run=dry_run)
                error = f": {each.error}" if each.error else ""
                click.echo(f"{prefix}{text}{_note(each)}{error}")
        counts = Counter(each.outcome for each in self._requests)
        texts = [f"{counts[key]} {text[dry_run]}" for key, text in _SUMMARY.items() if counts[key]]
        click.echo(", ".join(texts), err=True)
        if self._error is not None:
            raise CannotRun(self._error.message, "Run the command again to award the rest")
        good = not any(counts[key] for key in ("opted-out", "refused", "not-reached"))
        raise SystemExit(GOOD if good else FOUND)

    def _report_one(self, form: str, dry_run: bool) -> NoReturn:
        (one,) = self._requests
        if one.error is not None:
            raise CannotRun(f"{one.badge} for {one.user} was refused: {one.error}")
        report(
            one.outcome,
            form,
            user=one.user,
            badge=one.badge,
            reason=one.reason,
            dry_run=dry_run,
            on_bus=self._on_bus,
            note=_note(one),
            revoked=revocation_data(one.revoked),
        )

    def _data(self, dry_run: bool) -> dict[str, Any]:
        return {
            "dry_run": dry_run,
            "complete": self._error is None,
            "on_bus": self._on_bus,
            "awards": [
                {
                    "line": each.line,
                    "user": each.user,
                    "badge": each.badge,
                    "outcome": each.outcome,
                    "reason": printable(each.reason),
                    "link": each.link,
                    "when": None if each.when is None else f"{each.when.isoformat()}Z",
                    "error": each.error,
                    "revoked": revocation_data(each.revoked),
                }
                for each in self._requests
            ],
        }


def _note(request: Request) -> str:
    """Return that the badge was revoked before, for whoever gets it all the same."""
    if request.revoked is None or request.outcome != "awarded":
        return ""
    return f", which was {describe_revocation(request.revoked)}"


def _log_award(given: AwardResult, reason: str) -> None:
    award = given.award
    log_change("Awarded badge", user=award.username, badge=award.badge_id, reason=reason)
