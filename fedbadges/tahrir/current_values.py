"""Tahrir's ``current_values``: how far people are with badges that they do not hold yet.

A value is as of a message, and ``last_update`` is when that was sent. So a value never gives way to
an older one, whoever writes them, and in which order.
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import and_, or_, select, tuple_
from tahrir_api.model import Badge as BadgeRow
from tahrir_api.model import CurrentValue as ValueRow

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.databases.outages import translate_errors
from fedbadges.tahrir.awarding import NAME, begin_immediately, insert
from fedbadges.tahrir.holdings import find_people

_VALUES = ValueRow.__table__

#: The greatest number that the column holds; a rule may need more, such as of bytes.
_GREATEST = 2**31 - 1

#: How many rows one statement asks about, or writes.
_BATCH = 500


@dataclass(frozen=True)
class CurrentValue:
    """How many somebody, by tahrir's number, has for a badge as of a time, naive UTC."""

    badge_id: str
    person_id: int
    value: int
    as_of: datetime.datetime


def find_outdated(
    settings: Settings, wanted: Mapping[tuple[str, str], datetime.datetime]
) -> dict[tuple[str, str], int]:
    """Return which badges and people need a value as of a time, with tahrir's number of the person.

    Left out is what tahrir has as of a later time, and whom or which badge it does not know; and
    who has opted out. Raises Unavailable.
    """
    names, ids = {name for _, name in wanted}, {badge_id for badge_id, _ in wanted}
    with translate_errors(NAME):
        made = reader(settings.tahrir_url, settings.prepare_statements)
        with made.connect() as connection:
            people = {
                name: row.number
                for name, row in find_people(connection, settings, names, ())
                if not row.opt_out
            }
            badges = set(connection.scalars(select(BadgeRow.id).where(BadgeRow.id.in_(ids))))
            found = {
                pair: people[pair[1]] for pair in wanted if pair[1] in people and pair[0] in badges
            }
            keys = sorted({(badge_id, number) for (badge_id, _), number in found.items()})
            latest: dict[tuple[str, int], datetime.datetime] = {}
            for start in range(0, len(keys), _BATCH):
                part = tuple_(_VALUES.c.badge_id, _VALUES.c.person_id).in_(
                    keys[start : start + _BATCH]
                )
                for row in connection.execute(select(_VALUES).where(part)):
                    latest[row.badge_id, row.person_id] = row.last_update
    return {
        pair: number
        for pair, number in found.items()
        if (pair[0], number) not in latest or latest[pair[0], number] <= wanted[pair]
    }


def write_values(settings: Settings, values: Iterable[CurrentValue]) -> int:
    """Write values, but for those of which tahrir has a later one; raise Unavailable.

    Of two as of the same time the greater stays: it was counted when more was stored. Returns how
    many rows were changed.
    """
    # Two names may be one person's.
    newest: dict[tuple[str, int], CurrentValue] = {}
    for each in values:
        known = newest.get(key := (each.badge_id, each.person_id))
        if known is None or (each.as_of, each.value) > (known.as_of, known.value):
            newest[key] = each
    # In one order everywhere: two processes must not each hold what the other waits for.
    rows = [
        {
            "badge_id": each.badge_id,
            "person_id": each.person_id,
            "value": min(each.value, _GREATEST),
            "last_update": each.as_of,
        }
        for _, each in sorted(newest.items())
    ]
    if not rows:
        return 0
    with translate_errors(NAME), engine(settings.tahrir_url).begin() as connection:
        begin_immediately(connection)
        statement = insert(connection, _VALUES)
        new = statement.excluded
        later = or_(
            new.last_update > _VALUES.c.last_update,
            and_(new.last_update == _VALUES.c.last_update, new.value > _VALUES.c.value),
        )
        statement = statement.on_conflict_do_update(
            index_elements=list(_VALUES.primary_key),
            set_={"value": new.value, "last_update": new.last_update},
            where=later,
        ).returning(_VALUES.c.badge_id)
        return len(connection.execute(statement, rows).all())
