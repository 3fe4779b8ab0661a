"""What an operator asks for, line by line, and everything that is wrong with it."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedbadges.cli.award.table import Cell, Mistakes, Row
from fedbadges.cli.change import unknown_badge, unknown_person
from fedbadges.messages import fits_databases, naive_utc
from fedbadges.rules.recipients import account
from fedbadges.tahrir.awarding import MAX_LINK
from fedbadges.util.moments import to_moment
from fedbadges.util.text import quoted

if TYPE_CHECKING:
    from fedbadges.cli.deployment import Deployment
    from fedbadges.rules.rule import Badge
    from fedbadges.tahrir.database import Tahrir
    from fedbadges.tahrir.holdings import Revocation

#: No award is older. Much earlier years are typing errors, which some programs cannot even show.
_EARLIEST = datetime.datetime(1970, 1, 1)

#: What a link may be: browsers run some others, such as ``javascript:``, as programs.
_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)


@dataclass(eq=False)
class Request:
    """A badge that somebody is to get, as a row says, and what became of that.

    ``when`` is None for now; ``error`` is why tahrir refused the award. ``revoked`` says how they
    lost it before, if that is recorded.
    """

    row: Row
    user: str
    badge: str
    reason: str
    link: str | None
    when: datetime.datetime | None
    outcome: str = "not-reached"
    error: str | None = None
    revoked: Revocation | None = None

    @property
    def line(self) -> int | None:
        """Return the line of the table that names the user."""
        place = self.row["user"].place
        return None if place is None else place.line


def parse_request(row: Row, mistakes: Mistakes) -> Request:
    """Parse a row; where it has mistakes, the request has empty values."""

    def check(column: str, parse: Callable[[str], str | None]) -> str:
        cell = row[column]
        if cell.text is None:
            mistakes.add(cell.place, f"there is no {column}")
            return ""
        return parse(cell.text) or ""

    def user(text: str) -> str | None:
        found = account(text)
        if found.name is None:
            why = f"{quoted(text)} is not an account name: it {found.dropped}"
            mistakes.add(row["user"].place, why)
        return found.name

    def reason(text: str) -> str:
        if not text.strip():
            mistakes.add(row["reason"].place, "--reason is empty; give one, for the log")
        return text.strip()

    return Request(
        row,
        check("user", user),
        check("badge", str),
        check("reason", reason),
        _link(row["link"], mistakes),
        _when(row["when"], mistakes),
    )


def _link(cell: Cell, mistakes: Mistakes) -> str | None:
    link = cell.text
    if link is None:
        return None
    name = "--link" if cell.place is None else "'link'"
    if not (fits_databases(link) and len(link) <= MAX_LINK):
        mistakes.add(cell.place, f"{name} is text of 1 to {MAX_LINK} characters")
    elif not _ADDRESS.fullmatch(link):
        mistakes.add(cell.place, f"{name} is an address that begins with http:// or https://")
    return link


def _when(cell: Cell, mistakes: Mistakes) -> datetime.datetime | None:
    if cell.text is None:
        return None
    now = naive_utc(time.time())
    moment = to_moment(cell.text, now)
    if moment is None:
        text = f"{quoted(cell.text)} is no date, such as 2026-11-20 or 2026-11-20T14:30+01:00"
        mistakes.add(cell.place, text)
    elif moment > now:
        mistakes.add(cell.place, f"{quoted(cell.text)} is in the future")
    elif moment < _EARLIEST:
        mistakes.add(cell.place, f"{quoted(cell.text)} is before {_EARLIEST.year}")
    return moment


def find_mistakes(
    requests: Sequence[Request],
    deployment: Deployment,
    tahrir: Tahrir,
    mistakes: Mistakes,
    *,
    create: bool,
) -> list[Badge]:
    """Add what tahrir, the rules and the accounts service do not know or allow.

    With ``create`` people may be unknown to tahrir. Returns the badges that tahrir lacks and rules
    have.
    """
    badges = tahrir.badges()
    wanted = dict.fromkeys(each.badge for each in requests if each.row["badge"].text is not None)
    lacking = [badge for badge in wanted if badge not in badges]
    rules = badges_of_rules(deployment) if lacking else {}
    new = [rules[badge] for badge in lacking if badge in rules]
    refused = tahrir.unawardable(new).refused if new else {}
    wrong_badges = {badge: f"{badge}: {why}" for badge, why in refused.items()}
    for badge in wanted:
        if not badges.get(badge, True):
            text = f"'{badge}' is a legacy badge in tahrir, which cannot be awarded"
            wrong_badges[badge] = text
        elif badge not in badges and badge not in rules:
            wrong_badges[badge] = unknown_badge(badge, {*badges, *rules}, " and no rule gives it")
    names = dict.fromkeys(request.user for request in requests if request.user)
    wrong_users = _wrong_users(names, deployment, tahrir, create)
    for request in requests:
        if request.user in wrong_users:
            mistakes.add(request.row["user"].place, wrong_users[request.user])
        if request.badge in wrong_badges:
            mistakes.add(request.row["badge"].place, wrong_badges[request.badge])
    return new


def badges_of_rules(deployment: Deployment) -> dict[str, Badge]:
    """Return the badges that rules give, by their ids."""
    from fedbadges.criteria.backends import load_backends

    backends = load_backends(deployment.settings)
    return {rule.badge.id: rule.badge for rule in deployment.rules(backends)}


def _wrong_users(
    names: Iterable[str], deployment: Deployment, tahrir: Tahrir, create: bool
) -> dict[str, str]:
    """Return why people cannot get a badge, by name."""
    from fedbadges.accounts.service import make_accounts

    settings = deployment.settings
    accounts = make_accounts(settings)
    unknown = {} if create else tahrir.unknown(names)
    wrong = {}
    for name in names:
        if name in settings.banned_usernames:
            wrong[name] = f"'{name}' is among 'badges.banned_usernames'"
        elif not accounts.exists(name):
            wrong[name] = f"there is no account '{name}'"
        elif name in unknown:
            wrong[name] = unknown_person(name, unknown[name])
    return wrong


def find_outcomes(requests: Iterable[Request], tahrir: Tahrir) -> None:
    """Set the outcome of the requests for which there is nothing to do, and what was revoked."""
    wanted = list(requests)
    holdings = tahrir.holdings({each.user for each in wanted}, {each.badge for each in wanted})
    seen = set()
    for each in wanted:
        pair = (each.user, each.badge)
        each.revoked = holdings.revoked.get(pair)
        if each.user in holdings.opted_out:
            each.outcome = "opted-out"
        elif pair in holdings.held:
            each.outcome = "held"
        elif pair in seen:
            each.outcome = "repeated"
        seen.add(pair)
