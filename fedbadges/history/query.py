"""Past messages as a rule's operation sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table
from sqlalchemy import Connection, Select, Table, false, func, select
from sqlalchemy.orm import Session

from fedbadges.history.sql import Asked
from fedbadges.rules.filters import Pages

#: How many messages are in memory at once while they are streamed.
_BATCH = 500


@dataclass(frozen=True)
class PastMessage:
    """A past message as an operation sees it; ``users`` and ``packages`` are names."""

    _row: Any
    _connection: Connection

    @property
    def number(self) -> int:
        """Its number in the database."""
        return int(self._row.id)

    @property
    def msg(self) -> Any:
        """The message's own content, without the envelope."""
        return self._row.msg

    @property
    def topic(self) -> str:
        """Its topic."""
        return str(self._row.topic)

    @property
    def category(self) -> str:
        """Its category."""
        return str(self._row.category)

    @property
    def timestamp(self) -> Any:
        """When it was sent: a ``datetime``, naive UTC."""
        return self._row.timestamp

    @property
    def msg_id(self) -> str | None:
        """Its id."""
        found: str | None = self._row.msg_id
        return found

    @property
    def users(self) -> list[str]:
        """The users it concerns."""
        return self._names(User, users_assoc_table)

    @property
    def packages(self) -> list[str]:
        """The packages it concerns."""
        return self._names(Package, packages_assoc_table)

    def _names(self, kind: type[User] | type[Package], table: Table) -> list[str]:
        names = (
            select(kind.name)
            .join(table, table.c[0] == kind.id)
            .where(table.c.msg_id == self._row.id, table.c.msg_timestamp == self._row.timestamp)
        )
        return sorted(self._connection.scalars(names))


class UnreadMessage(PastMessage):
    """The same of a row whose ``msg`` is still text, as ``questions`` gives them."""

    @cached_property
    def msg(self) -> Any:
        """The message's own content, without the envelope."""
        return json.loads(self._row.text)


@dataclass(frozen=True)
class Query:
    """The past messages that a filter gives, as an operation's ``query``.

    It has what rules use of the query that datanommer used to give.
    """

    _session: Session
    _select: Select[Any]

    @classmethod
    def of(cls, session: Session, asked: Asked | None, pages: Pages) -> Query:
        """Make the query of a filter that is ready to be asked, with its order and its page."""
        query = select(Row).where(false()) if asked is None else asked.rows()
        query = query.order_by(getattr(Row.timestamp, pages.order)())
        if pages.rows_per_page:
            query = query.offset(pages.rows_per_page * (pages.page - 1)).limit(pages.rows_per_page)
        return cls(session, query)

    def __iter__(self) -> Iterator[PastMessage]:
        for row in self._session.scalars(self._select.execution_options(yield_per=_BATCH)):
            yield PastMessage(row, self._session.connection())

    def __len__(self) -> int:
        return self.count()

    def all(self) -> Messages:
        """Give all messages: streamed, unless they are asked for as a list."""
        return Messages(self)

    def count(self) -> int:
        """Count the messages."""
        inner = self._select.with_only_columns(Row.id).order_by(None).subquery()
        return int(self._session.scalar(select(func.count()).select_from(inner)) or 0)

    def first(self) -> PastMessage | None:
        """Give the first message, or None."""
        row = self._session.scalars(self._select.limit(1)).first()
        return None if row is None else PastMessage(row, self._session.connection())

    def one(self) -> PastMessage:
        """Give the only message; raises where there are none or several."""
        return PastMessage(self._session.scalars(self._select).one(), self._session.connection())

    def filter_by(self, **columns: Any) -> Query:
        """Narrow it to the messages whose columns equal these values."""
        return Query(self._session, self._select.filter_by(**columns))

    def order_by(self, *columns: Any) -> Query:
        """Put the messages into another order."""
        return Query(self._session, self._select.order_by(None).order_by(*columns))


class Messages(Sequence[PastMessage]):
    """All messages of a query: a list for those who need one, a stream for those who loop."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._list: list[PastMessage] | None = None

    def __iter__(self) -> Iterator[PastMessage]:
        return iter(self._query if self._list is None else self._list)

    def __len__(self) -> int:
        return self._query.count() if self._list is None else len(self._list)

    @overload
    def __getitem__(self, index: int) -> PastMessage: ...

    @overload
    def __getitem__(self, index: slice) -> list[PastMessage]: ...

    def __getitem__(self, index: int | slice) -> PastMessage | list[PastMessage]:
        if self._list is None:
            self._list = list(self._query)
        return self._list[index]
