"""``fedbadges award`` and ``fedbadges revoke``: badges that somebody gives and takes by hand."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import click

from fedbadges.cli.award.audit_log import log_operation, operator
from fedbadges.cli.bus import publishing
from fedbadges.cli.deployment import HISTORY, RULES, Deployment, failing_clearly, with_deployment
from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.cli.terminal.formats import with_format

if TYPE_CHECKING:
    from fedbadges.buses.fedmsg.publisher import Publisher
    from fedbadges.config.settings import Settings
    from fedbadges.rules.rule import Badge
    from fedbadges.tahrir.database import Tahrir
    from fedbadges.tahrir.notices import Notice

_AWARD_EPILOG = """\b
Examples:
  fedbadges award alice speaker --reason "spoke at the conference"
  fedbadges award alice speaker --reason "spoke at the conference" \\
    --link https://conference.example.org/talks/7
  fedbadges award alice speaker --reason "see the list" --dry-run

\b
Exit codes: 0 if alice has it now, 1 if there was nothing to do, since she had
it already or has opted out, 2 if the command cannot run.
"""

_REVOKE_EPILOG = """\b
Examples:
  fedbadges revoke alice gardener-i --reason "the rule counted merges"
  fedbadges revoke alice gardener-i --reason "see the list" --dry-run

\b
Exit codes: 0 if it is gone, 1 if alice does not hold it, 2 if the command
cannot run.
"""

#: What to say of an outcome, and of what it would be; with the user and the badge.
_TEXTS = {
    "awarded": ("%s has %s now", "%s would get %s"),
    "revoked": ("%s does not have %s any more", "%s would lose %s"),
    "held": ("%s has %s already",) * 2,
    "opted-out": ("%s has opted out, and gets neither %s nor any other badge",) * 2,
    "not-held": ("%s does not have %s",) * 2,
}
_DONE = frozenset(["awarded", "revoked"])


@dataclass(frozen=True)
class Deed:
    """What a command did, or in a ``dry_run`` would do, and whether the bus was told."""

    user: str
    badge: str
    outcome: str
    reason: str
    dry_run: bool
    on_bus: bool = False


def _by_hand(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what both have: whom, which badge, why, and in which form to say it."""
    parameters = (
        click.argument("user"),
        click.argument("badge"),
        click.option("--reason", required=True, metavar="TEXT", help="Why; for the log."),
        click.option("--dry-run", is_flag=True, help="Say what would happen, and do nothing."),
        with_format(),
    )
    return functools.reduce(lambda made, each: each(made), reversed(parameters), command)


@click.command(epilog=_AWARD_EPILOG)
@_by_hand
@click.option("--link", metavar="URL", help="What the award is to link to.")
@click.option("--no-publish", is_flag=True, help="Say nothing on the bus.")
@with_deployment(HISTORY)
def award(
    user: str,
    badge: str,
    reason: str,
    dry_run: bool,
    form: str,
    link: str | None,
    no_publish: bool,
    deployment: Deployment,
) -> None:
    """Give USER the badge with the id BADGE, as the daemon would.

    It is said on the bus as the daemon says it, and the ranks are adjusted. A badge that tahrir
    does not have yet is made from its rule. Who has the badge, or has opted out, gets nothing.
    """
    with failing_clearly(), _stopping_clearly():
        order = _order(user, badge, reason, dry_run, deployment)
        new = _see_awardable(order, link)
        deed = _refusal(order) or order.deed("awarded")
        if deed.outcome == "awarded" and not dry_run:
            with nullcontext() if no_publish else publishing(order.settings) as publisher:
                deed = _award(order, link, new, publisher)
    _report(deed, form)


@click.command(epilog=_REVOKE_EPILOG)
@_by_hand
@with_deployment(HISTORY, RULES)
def revoke(
    user: str, badge: str, reason: str, dry_run: bool, form: str, deployment: Deployment
) -> None:
    """Take the badge with the id BADGE away from USER, and adjust the ranks.

    Nothing is said on the bus. Beware: where a rule still says so, USER gets the badge again with
    the next message that triggers it.
    """
    with failing_clearly(), _stopping_clearly():
        order = _order(user, badge, reason, dry_run, deployment)
        if badge not in order.tahrir.badges():
            raise _unknown(badge, order.tahrir.badges())
        deed = _revoke(order)
    _report(deed, form)


@contextmanager
def _stopping_clearly() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise CannotRun(["Stopped: nothing is changed but what is said above"]) from None


@dataclass(frozen=True)
class _Order:
    """Who is to get or lose what, and why."""

    user: str
    badge: str
    reason: str
    dry_run: bool
    deployment: Deployment
    tahrir: Tahrir

    @property
    def settings(self) -> Settings:
        return self.deployment.settings

    def deed(self, outcome: str) -> Deed:
        return Deed(self.user, self.badge, outcome, self.reason, self.dry_run)


def _order(user: str, badge: str, reason: str, dry_run: bool, deployment: Deployment) -> _Order:
    """Raise CannotRun where the name can be nobody's, or no reason is given."""
    from fedbadges.rules.recipients import account
    from fedbadges.tahrir.database import Tahrir
    from fedbadges.util.text import printable, quoted

    found = account(user)
    wrong = []
    if found.name is None:
        wrong.append(f"{quoted(user)} is no account name: it {found.dropped}")
    if not reason.strip():
        wrong.append("--reason is empty; say why, for those who will read the log")
    if wrong:
        raise CannotRun(wrong)
    why = printable(reason.strip())
    return _Order(found.name or "", badge, why, dry_run, deployment, Tahrir(deployment.settings))


def _see_awardable(order: _Order, link: str | None) -> Badge | None:
    """Raise CannotRun where this name cannot get this badge; gives it where tahrir lacks it."""
    from fedbadges.accounts.service import make_accounts
    from fedbadges.engine.links import MAX_LINK
    from fedbadges.messages import fits_databases

    if link is not None and not (fits_databases(link) and len(link) <= MAX_LINK):
        raise CannotRun([f"--link is text of 1 to {MAX_LINK} characters"])
    if order.user in order.settings.banned_usernames:
        raise CannotRun([f"'{order.user}' is among 'badges.banned_usernames'"])
    known = order.tahrir.badges()
    new = None if order.badge in known else _from_rule(order, known)
    if not known.get(order.badge, True):
        raise CannotRun([f"'{order.badge}' is a legacy badge in tahrir, which nobody can get"])
    if not make_accounts(order.settings).exists(order.user):
        raise CannotRun([f"there is no account '{order.user}'"])
    return new


def _from_rule(order: _Order, known: Iterable[str]) -> Badge:
    rules = {rule.badge.id: rule.badge for rule in order.deployment.rules()}
    if order.badge not in rules:
        raise _unknown(order.badge, {*known, *rules}, " and no rule")
    return rules[order.badge]


def _unknown(badge: str, known: Iterable[str], others: str = "") -> CannotRun:
    from tahrir_api.utils import convert_name_to_id

    from fedbadges.util.text import quoted

    # Its name may have been given.
    near = difflib.get_close_matches(convert_name_to_id(badge[:200]), list(known), n=1)
    hint = f"; did you mean {quoted(near[0])}?" if near else ""
    return CannotRun(
        [f"tahrir has no badge {quoted(badge)}{others and others + ' gives it'}{hint}"]
    )


def _refusal(order: _Order) -> Deed | None:
    """Tell why the person can get nothing; None if they can."""
    holdings = order.tahrir.holdings([order.user], [order.badge])
    if order.user in holdings.opted_out:
        return order.deed("opted-out")
    return order.deed("held") if holdings.held else None


def _award(order: _Order, link: str | None, new: Badge | None, publisher: Publisher | None) -> Deed:
    from fedbadges.tahrir.awarding import Award

    if new is not None:
        refused = order.tahrir.publish_badges([new]).refused
        if refused:
            raise CannotRun([f"{new.id}: {refused[new.id]}"])
    result = order.tahrir.award([Award(order.badge, order.user, link)])
    for _, error in result.refused:
        raise error
    if not result.given:  # meanwhile
        return _refusal(order) or order.deed("held")
    (given,) = result.given
    log_operation(f"Awarded {order.badge} to {order.user} by hand ({operator()}): {order.reason}")
    notices = (given.notice, *_adjust_ranks(order.tahrir, given.person_id))
    return replace(order.deed("awarded"), on_bus=_say(notices, publisher))


def _revoke(order: _Order) -> Deed:
    if order.dry_run:
        held = order.tahrir.holdings([order.user], [order.badge]).held
        return order.deed("revoked" if held else "not-held")
    person = order.tahrir.revoke(order.badge, order.user)
    if person is None:
        return order.deed("not-held")
    log_operation(f"Revoked {order.badge} from {order.user} by hand ({operator()}): {order.reason}")
    _adjust_ranks(order.tahrir, person)
    return order.deed("revoked")


def _adjust_ranks(tahrir: Tahrir, person: int) -> tuple[Notice, ...]:
    """Adjust everybody's rank; what is done before that stays done, whatever happens."""
    from sqlalchemy.exc import SQLAlchemyError

    from fedbadges.errors import Unavailable
    from fedbadges.util.text import describe_error

    try:
        return tahrir.adjust_ranks([person])
    except (Unavailable, SQLAlchemyError) as error:
        click.echo(
            f"The ranks are adjusted with the next award only: {describe_error(error)}", err=True
        )
        return ()


def _say(notices: Iterable[Notice], publisher: Publisher | None) -> bool:
    """Publish, and tell whether all of it was sent."""
    if publisher is None:
        return False
    for notice in notices:
        publisher.publish(notice)
    return publisher.finish()


def _report(deed: Deed, form: str) -> None:
    if form == "json":
        click.echo(json.dumps(asdict(deed), indent=2))
    else:
        click.echo(_TEXTS[deed.outcome][deed.dry_run] % (deed.user, deed.badge))
    raise SystemExit(GOOD if deed.outcome in _DONE else FOUND)
