"""Past messages as a rule's operation sees them, and the tests that it makes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import Connection, Select, exc, func, select
from sqlalchemy.orm import Session

from fedbadges.errors import DamagedRow
from fedbadges.history.rows import DamageLog, check_header, parse_content
from fedbadges.history.sql import FilterQuery, names_of
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import Pages
from fedbadges.rules.names import Name
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: How many messages are in memory at once while they are streamed.
_BATCH = 500

_damage = DamageLog()

#: Decides whether a past message counts; it is called with what has a PastMessage's attributes.
Test = Callable[[Any], bool]


def make_test(expression: Expression, values: tuple[Any, ...], log_throttle: Throttle) -> Test:
    """Return what an expression asks of each message; it raises only what databases raise.

    A message for which it raises anything else does not pass: one odd message must not cost
    everybody their badge. ``values`` are those of the templates.
    """
    test = expression.test
    assert test is not None, "the expression does not count messages one by one"

    def passes(message: Any) -> bool:
        try:
            return bool(test(message, values))
        except exc.SQLAlchemyError:
            raise
        except Exception as error:  # a rule's own code may raise anything
            if log_throttle.allows((expression.text, type(error).__name__)):
                log.warning(
                    "Could not test a past message, it does not count",
                    operation=expression.text,
                    error=error,
                )
            return False

    return passes


class PastMessage:
    """A past message as an operation sees it; ``users`` and ``packages`` are names.

    Its row has the content as ``text``, in JSON.

    ``number`` is its row number; ``timestamp``, naive UTC, when it was sent.
    """

    def __init__(self, row: Any, connection: Connection) -> None:
        self._row = row
        self._connection = connection
        self.number: int = row.id
        self.topic: str = row.topic
        self.category: str = row.category
        self.timestamp: datetime = row.timestamp
        self.msg_id: str | None = row.msg_id

    @cached_property
    def msg(self) -> Any:
        """Return the message's own content, without the envelope; raise DamagedRow."""
        return parse_content(self._row.text)

    @property
    def users(self) -> list[Name]:
        """Return the users it concerns."""
        return self._names("users")

    @property
    def packages(self) -> list[Name]:
        """Return the packages it concerns."""
        return self._names("packages")

    def _names(self, kind: str) -> list[Name]:
        return sorted(names_of(self._connection, kind, [self.number])[self.number])


@dataclass(frozen=True)
class Query:
    """The past messages that a filter selects, as an operation's ``query``.

    It has what rules use of the query of datanommer's older releases. Messages that cannot be read
    are logged, and left out where all are gone through.
    """

    _session: Session
    _select: Select[Any]

    @classmethod
    def of(cls, session: Session, filter_query: FilterQuery, pages: Pages) -> Query:
        """Create the query of a filter, with its order and its page."""
        order = (getattr(column, pages.order)() for column in (Row.timestamp, Row.id))
        query = filter_query.rows().order_by(*order)
        if pages.rows_per_page:
            query = query.offset(pages.rows_per_page * (pages.page - 1)).limit(pages.rows_per_page)
        return cls(session, query)

    def __iter__(self) -> Iterator[PastMessage]:
        for row in self._session.execute(self._select.execution_options(yield_per=_BATCH)):
            message = PastMessage(row, self._session.connection())
            if not is_damaged(message):
                yield message

    def __len__(self) -> int:
        return self.count()

    def all(self) -> Messages:
        """Return all messages: streamed, unless a list is needed."""
        return Messages(self)

    def count(self) -> int:
        """Count the messages."""
        inner = self._select.with_only_columns(Row.id).order_by(None).subquery()
        return int(self._session.scalar(select(func.count()).select_from(inner)) or 0)

    def first(self) -> PastMessage | None:
        """Return the first message, or None."""
        row = self._session.execute(self._select.limit(1)).first()
        return None if row is None else PastMessage(row, self._session.connection())

    def one(self) -> PastMessage:
        """Return the only message; raise if there are none or several."""
        return PastMessage(self._session.execute(self._select).one(), self._session.connection())

    def filter_by(self, **columns: Any) -> Query:
        """Return a query for those messages whose columns equal these values."""
        equal = (getattr(Row, name) == value for name, value in columns.items())
        return Query(self._session, self._select.where(*equal))

    def order_by(self, *columns: Any) -> Query:
        """Return a query for the messages in another order."""
        return Query(self._session, self._select.order_by(None).order_by(*columns))


def is_damaged(message: PastMessage) -> bool:
    """Return True, and log it, if a message cannot be read."""
    try:
        check_header(message.topic, message.timestamp)
        message.msg  # noqa: B018 - parsed now, and cached
    except DamagedRow as error:
        _damage.add(message.number, message.msg_id, error)
        return True
    return False


class Messages(Sequence[PastMessage]):
    """All messages of a query: streamed in a loop, a list where they are indexed."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._list: list[PastMessage] | None = None

    def __iter__(self) -> Iterator[PastMessage]:
        return iter(self._query if self._list is None else self._list)

    def __len__(self) -> int:
        return self._query.count() if self._list is None else len(self._list)

    def __getitem__(self, index: Any) -> Any:
        if self._list is None:
            self._list = list(self._query)
        return self._list[index]
