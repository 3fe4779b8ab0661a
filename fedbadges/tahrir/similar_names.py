"""Which people tahrir does not know, and whom each of these names was probably meant to be."""

import difflib
from collections.abc import Iterable
from itertools import islice

from sqlalchemy import Connection, func, or_, select
from tahrir_api.model import Person

from fedbadges.config.settings import Settings
from fedbadges.tahrir.holdings import find_people

#: For how many unknown names similar ones are looked for, and how many rows are read for each.
_MOST_NAMES = 20
_MOST_ROWS = 1000

#: By how many characters the lengths of similar names differ at most.
_LENGTHS = 2

_NICKNAME = func.lower(Person.nickname)


def find_unknown(
    connection: Connection, settings: Settings, usernames: Iterable[str]
) -> dict[str, list[str]]:
    """Return the names that tahrir does not know, each with the most similar that it does."""
    names = dict.fromkeys(usernames)
    known = {name for name, _ in find_people(connection, settings, names, ())}
    unknown: dict[str, list[str]] = {name: [] for name in names if name not in known}
    for name in islice(unknown, _MOST_NAMES):
        unknown[name] = difflib.get_close_matches(name, _candidates(connection, name))
    return unknown


def _candidates(connection: Connection, name: str) -> list[str]:
    """Return names that begin or end as this one does, those of about its length first.

    One wrong, missing or additional letter, or two that changed places, leaves the beginning or the
    end as it was.
    """
    length = max(1, (len(name) - 1) // 2)
    difference = func.abs(func.length(_NICKNAME) - len(name))
    similar = (
        select(_NICKNAME)
        .where(difference <= _LENGTHS)
        .where(
            or_(
                _NICKNAME.startswith(name[:length], autoescape=True),
                _NICKNAME.endswith(name[-length:], autoescape=True),
            )
        )
        .order_by(difference, _NICKNAME)
        .limit(_MOST_ROWS)
    )
    return list(connection.scalars(similar))
