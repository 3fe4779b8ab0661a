"""The table of the outbox: notices whose award is committed and that are not published yet."""

import datetime
import json
import os
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from fedbadges.databases.connections import engine
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import array_parameter, dialect_function, is_any_of
from fedbadges.messages import Notice, naive_utc
from fedbadges.tahrir.own_tables import OUTBOX, OwnTables

#: Seconds for which a process has a lease on a notice, unless it renews it.
LEASE = 15

#: How many notices are leased or deleted in one statement.
BATCH = 500

_C = OUTBOX.c

#: The database's clock so many seconds from now, naive UTC, as SQLAlchemy stores it: the clocks of
#: the hosts that share the table may differ.
_from_now = dialect_function(
    DateTime(),
    postgresql="(clock_timestamp() AT TIME ZONE 'utc' + make_interval(secs => {}))",
    sqlite="strftime('%Y-%m-%d %H:%M:%f000', 'now', {} || ' seconds')",
)


_END = _from_now(literal_column(str(LEASE)))
_IS_FREE = or_(
    _C.leased_until.is_(None),
    _C.leased_until < _from_now(literal_column("0")),
    # Nobody leases for so long: the database's clock was set back.
    _C.leased_until > _from_now(literal_column(str(2 * LEASE))),
)
_INSERT = insert(OUTBOX).values(leased_until=_END)
_FREE = (
    select(_C.id)
    .where(_IS_FREE)
    .order_by(_C.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
    .cte("free")
)
_LEASE: ReturningUpdate[Any] = (
    update(OUTBOX)
    .where(_C.id.in_(select(_FREE.c.id)))
    .values(leased_by=bindparam("owner"), leased_until=_END)
    .returning(_C.id, _C.msg_id, _C.topic, _C.body, _C.created)
)
_OF_THESE = is_any_of(_C.msg_id, array_parameter("ids"))
_IS_OURS = _C.leased_by == bindparam("owner")
_RENEW = update(OUTBOX).where(_OF_THESE, _IS_OURS).values(leased_until=_END)
_RELEASE = update(OUTBOX).where(_OF_THESE, _IS_OURS).values(leased_by=None, leased_until=None)
_LEAVE = update(OUTBOX).where(_IS_OURS).values(leased_by=None, leased_until=None)
_DELETE = delete(OUTBOX).where(_OF_THESE)
_WAITING = select(
    func.count().label("number"),
    func.count().filter(_IS_FREE).label("free"),
    func.min(_C.created).label("oldest"),
).select_from(OUTBOX)


@dataclass(frozen=True)
class Waiting:
    """How many notices wait, on how many nobody has a lease, and since when, in s since 1970."""

    count: int = 0
    free: int = 0
    since: float | None = None


class OutboxTable:
    """The table, for one process; each method raises Unavailable while the database is away."""

    def __init__(self, url: URL | str, own_tables: OwnTables) -> None:
        self._url = url
        self._own_tables = own_tables
        #: What leases name this process by.
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"

    @property
    def is_usable(self) -> bool:
        """Return True if the table is there."""
        return self._own_tables.has(OUTBOX)

    def insert(self, connection: Connection, notices: Sequence[Notice]) -> list[Notice]:
        """Insert notices in the transaction of a connection, and lease them.

        Return them with the ids and timestamps that they have from then on; without the table,
        unchanged.
        """
        if not notices or not self.is_usable:
            return list(notices)
        now = int(time.time())
        created = naive_utc(now)
        kept = [
            replace(notice, msg_id=f"{created.year}-{uuid.uuid4()}", timestamp=now)
            for notice in notices
        ]
        rows = [
            {
                "msg_id": notice.msg_id,
                "topic": notice.topic,
                "body": json.dumps(notice.body),
                "created": created,
                "leased_by": self.owner,
            }
            for notice in kept
        ]
        connection.execute(_INSERT, rows)
        return kept

    def lease(self) -> list[Notice]:
        """Lease the oldest notices that nobody has a lease on, and return them in their order."""
        with self._changing() as connection:
            rows = connection.execute(_LEASE, {"owner": self.owner}).all()
        return [_notice(row) for row in sorted(rows, key=lambda row: row.id)]

    def renew(self, msg_ids: Iterable[str]) -> None:
        """Renew the leases of this process on notices."""
        self._change(_RENEW, msg_ids, owner=self.owner)

    def release(self, msg_ids: Iterable[str]) -> None:
        """End the leases of this process on notices."""
        self._change(_RELEASE, msg_ids, owner=self.owner)

    def leave(self) -> None:
        """End all leases of this process, if there is a table: it publishes nothing."""
        if self.is_usable:
            with self._changing() as connection:
                connection.execute(_LEAVE, {"owner": self.owner})

    def delete(self, msg_ids: Iterable[str]) -> None:
        """Delete notices, as they were published."""
        self._change(_DELETE, msg_ids)

    def expire(self, age: int) -> int:
        """Delete the notices that are older than so many seconds; return how many."""
        before = _from_now(literal_column(str(-age)))
        with self._changing() as connection:
            return int(connection.execute(delete(OUTBOX).where(_C.created < before)).rowcount)

    def waiting(self) -> Waiting:
        """Return how many notices wait, and since when."""
        with translate_errors("tahrir"), self._own_tables.reader.connect() as connection:
            row = connection.execute(_WAITING).one()
        since = None if row.oldest is None else _seconds_since_1970(row.oldest)
        return Waiting(row.number, row.free, since)

    def _change(self, statement: Any, msg_ids: Iterable[str], **parameters: str) -> None:
        ids = list(msg_ids)
        for start in range(0, len(ids), BATCH):
            batch = {"ids": ids[start : start + BATCH], **parameters}
            with self._changing() as connection:
                connection.execute(statement, batch)

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with translate_errors("tahrir"), engine(self._url).begin() as connection:
            yield connection


def _notice(row: Any) -> Notice:
    timestamp = int(_seconds_since_1970(row.created))
    return Notice(row.topic, json.loads(row.body), row.msg_id, timestamp)


def _seconds_since_1970(moment: datetime.datetime) -> float:
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()
