"""Who holds which badge, and who opted out."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select
from tahrir_api.model import Assertion, Person

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of

#: What errors call the database.
NAME = "tahrir"

#: How many people one statement asks about; SQLite has a limit.
_BATCH = 1000

# As tahrir_api compares them.
_ADDRESS, _NICKNAME = func.lower(Person.email), func.lower(Person.nickname)


def _select(whom: Any, *more: Any) -> PreparedStatement:
    held = and_(
        Assertion.person_id == Person.id,
        is_any_of(Assertion.badge_id, array_parameter("ids")),
    )
    return PreparedStatement(
        select(
            Person.id.label("number"),
            Person.email,
            Person.nickname,
            _ADDRESS.label("address"),
            _NICKNAME.label("nick"),
            Person.opt_out,
            Assertion.badge_id,
            *more,
        )
        .outerjoin(Assertion, held)
        .where(whom)
    )


def _lookups(*more: Any) -> tuple[PreparedStatement, PreparedStatement]:
    # An exact address has an index in any case. Only what that lookup misses is compared in lower
    # case.
    exact = is_any_of(Person.email, array_parameter("emails"))
    in_lower_case = or_(
        is_any_of(_ADDRESS, array_parameter("emails")),
        is_any_of(_NICKNAME, array_parameter("names")),
    )
    return _select(exact, *more), _select(in_lower_case, *more)


_HOLDINGS = _lookups()
_HELD_SINCE = _lookups(Assertion.issued_on)


@dataclass(frozen=True)
class Holdings:
    """What tahrir knows of some people and badges: held ones as (username, badge id)."""

    held: Set[tuple[str, str]]
    opted_out: Set[str]

    def allows(self, username: str, badge_id: str) -> bool:
        """Return True if this person could still get this badge."""
        return username not in self.opted_out and (username, badge_id) not in self.held


class HoldingsReader:
    """Looks people up in tahrir, all at once: by their address, or else by their nickname."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = reader(settings.tahrir_url, settings.prepare_statements)

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Return who of these people holds which of these badges, and who opted out."""
        held: set[tuple[str, str]] = set()
        opted_out: set[str] = set()
        for name, row in self.rows(usernames, badge_ids):
            if row.opt_out:
                opted_out.add(name)
            if row.badge_id is not None:
                held.add((name, row.badge_id))
        return Holdings(frozenset(held), frozenset(opted_out))

    def held_since(
        self, usernames: Iterable[str], badge_ids: Iterable[str]
    ) -> dict[tuple[str, str], datetime.datetime]:
        """Return since when, naive UTC, these people hold those of these badges that they hold."""
        return {
            (name, row.badge_id): row.issued_on
            for name, row in self.rows(usernames, badge_ids, lookups=_HELD_SINCE)
            if row.badge_id is not None
        }

    def rows(
        self,
        usernames: Iterable[str],
        badge_ids: Iterable[str],
        connection: Connection | None = None,
        lookups: tuple[PreparedStatement, PreparedStatement] = _HOLDINGS,
    ) -> list[tuple[str, Any]]:
        """Return the known ones of these people, each with a row for every badge that they hold.

        A person without any of the badges has one row. They are read in the transaction of
        ``connection``, if that is given.
        """
        if connection is None:
            with translate_errors(NAME), self._reader.connect() as made:
                return self.rows(usernames, badge_ids, made, lookups)
        names, ids = sorted(set(usernames)), sorted(set(badge_ids))
        return [
            found
            for start in range(0, len(names), _BATCH)
            for found in self._find(connection, lookups, names[start : start + _BATCH], ids)
        ]

    def _find(
        self,
        connection: Connection,
        lookups: tuple[PreparedStatement, PreparedStatement],
        names: list[str],
        ids: list[str],
    ) -> Iterator[tuple[str, Any]]:
        exact, in_lower_case = lookups
        by_email = {self._settings.email_of(name): name for name in names}
        missed = set(names)
        for row in exact.execute(connection, {"emails": list(by_email), "ids": ids}).all():
            missed.discard(by_email[row.email])
            yield by_email[row.email], row
        if not missed:
            return
        by_email = {self._settings.email_of(name): name for name in missed}
        parameters = {"emails": list(by_email), "names": list(missed), "ids": ids}
        rows = in_lower_case.execute(connection, parameters).all()
        for row in rows:
            if row.address in by_email:
                missed.discard(by_email[row.address])
                yield by_email[row.address], row
        # An address counts before a nickname.
        yield from ((row.nick, row) for row in rows if row.nick in missed)
