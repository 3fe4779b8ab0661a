"""The history: every past message, in datanommer's database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table
from sqlalchemy import Connection, Select, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from fedbadges.databases import asking, engine
from fedbadges.messages import Message, category_of, fits_databases
from fedbadges.rules.conditions import Condition, parse_condition
from fedbadges.rules.criteria import Question
from fedbadges.rules.document import Node
from fedbadges.rules.filters import FilledFilter, Filter, parse_filter
from fedbadges.rules.operations import LambdaOperation, Operation, parse_operation
from fedbadges.rules.parsing import as_mapping, check_keys
from fedbadges.rules.problems import Problems
from fedbadges.settings import Settings

_NAME = "datanommer"
_KEYS = ("filter", "operation", "condition")


class History:
    """Questions to the past messages; each raises Unavailable while the database is away."""

    def __init__(self, settings: Settings) -> None:
        self._engine = engine(settings.history_url)

    def stored(self, msg_ids: Iterable[str]) -> set[str]:
        """Tell which of these messages datanommer has stored by now."""
        wanted = list(msg_ids)
        if not wanted:
            return set()
        with asking(_NAME), self._engine.connect() as connection:
            return set(connection.scalars(select(Row.msg_id).where(Row.msg_id.in_(wanted))))

    def count(self, filled: FilledFilter) -> int:
        """Count the past messages that a filter gives."""
        query = Row.make_query(**filled.as_query()).with_only_columns(func.count(Row.id))
        with asking(_NAME), self._engine.connect() as connection:
            return int(connection.scalar(query) or 0)

    def compute(self, operation: LambdaOperation, filled: FilledFilter, message: Message) -> Any:
        """Compute an operation over the past messages; raises what its expression raises."""
        with asking(_NAME), Session(self._engine) as session:
            return operation.compute(lambda: Query.of(session, filled), message)

    def record(
        self,
        message: Message,
        usernames: Iterable[str],
        packages: Iterable[str],
        agent: str | None = None,
    ) -> None:
        """Store a message with the names it concerns, unless it is stored already.

        ``agent`` is the one of the users who did what it tells.
        """
        columns = _columns(message)
        columns["agent_name"] = agent if agent and fits_databases(agent) else None
        with asking(_NAME), self._engine.begin() as connection:
            number = _insert(connection, Row.__table__, columns, Row.id)
            if number is None:
                return
            for names, kind, table in (
                (usernames, User, users_assoc_table),
                (packages, Package, packages_assoc_table),
            ):
                _associate(connection, names, kind, table, (number, message.sent))


@dataclass(frozen=True)
class PastMessage:
    """A past message as an operation sees it; ``users`` and ``packages`` are names."""

    _row: Row

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
        return sorted(user.name for user in self._row.users)

    @property
    def packages(self) -> list[str]:
        """The packages it concerns."""
        return sorted(package.name for package in self._row.packages)


@dataclass(frozen=True)
class Query:
    """The past messages that a filter gives, as an operation's ``query``.

    It has what rules use of the query that datanommer used to give.
    """

    _session: Session
    _select: Select[Any]

    @classmethod
    def of(cls, session: Session, filled: FilledFilter) -> Query:
        """Make the query of a filter, with its order and its page."""
        query = Row.make_query(**filled.as_query())
        query = query.order_by(getattr(Row.timestamp, filled.pages.order)())
        rows = filled.pages.rows_per_page
        if rows:
            query = query.offset(rows * (filled.pages.page - 1)).limit(rows)
        return cls(session, query)

    def __iter__(self) -> Iterator[PastMessage]:
        for row in self._session.scalars(self._select.execution_options(yield_per=500)):
            yield PastMessage(row)

    def __len__(self) -> int:
        return self.count()

    def all(self) -> list[PastMessage]:
        """Give all messages."""
        return list(self)

    def count(self) -> int:
        """Count the messages."""
        inner = self._select.with_only_columns(Row.id).order_by(None).subquery()
        return int(self._session.scalar(select(func.count()).select_from(inner)) or 0)

    def first(self) -> PastMessage | None:
        """Give the first message, or None."""
        row = self._session.scalars(self._select.limit(1)).first()
        return None if row is None else PastMessage(row)

    def one(self) -> PastMessage:
        """Give the only message; raises where there are none or several."""
        return PastMessage(self._session.scalars(self._select).one())

    def filter_by(self, **columns: Any) -> Query:
        """Narrow it to the messages whose columns equal these values."""
        return Query(self._session, self._select.filter_by(**columns))

    def order_by(self, *columns: Any) -> Query:
        """Put the messages into another order."""
        return Query(self._session, self._select.order_by(None).order_by(*columns))


@dataclass(frozen=True)
class PastMessages:
    """A criterion over the history: a filter, an operation over it, and a condition."""

    filter: Filter
    operation: Operation
    condition: Condition
    history: History

    needs_history = True

    @property
    def names_recipient(self) -> bool:
        """Whether the filter names the candidate."""
        return self.filter.names_recipient

    def holds(self, subject: Question) -> bool:
        """Fill in the filter, compute the operation and compare."""
        return self.condition.holds(self.value(subject))

    def value(self, subject: Question) -> Any:
        """Compute the operation; once for all rules that ask the same of the same message."""
        filled = self.filter.fill(subject.message, subject.recipient)
        if isinstance(self.operation, LambdaOperation):
            operation = self.operation
            return subject.once(
                (filled, operation.expression),
                lambda: self.history.compute(operation, filled, subject.message),
            )
        return subject.once((filled, "count"), lambda: self.history.count(filled))


class Datanommer:
    """The criteria backend ``datanommer``."""

    def __init__(self, settings: Settings) -> None:
        self._history = History(settings)

    def parse(self, node: Node, problems: Problems) -> PastMessages | None:
        """Parse filter, operation and condition; None after reporting what is wrong."""
        mapping = as_mapping(node, "criteria", problems)
        if mapping is None:
            return None
        check_keys(mapping, _KEYS, "datanommer criteria", problems)
        missing = [key for key in _KEYS if mapping.get(key) is None]
        for key in missing:
            problems.add(mapping.place, f"missing key '{key}' in datanommer criteria")
        nodes = {key: mapping.get(key) for key in _KEYS}
        chosen = None if nodes["filter"] is None else parse_filter(nodes["filter"], problems)
        operation = (
            None if nodes["operation"] is None else parse_operation(nodes["operation"], problems)
        )
        condition = (
            None if nodes["condition"] is None else parse_condition(nodes["condition"], problems)
        )
        if chosen is None or operation is None or condition is None:
            return None
        return PastMessages(chosen, operation, condition, self._history)


def _columns(message: Message) -> dict[str, Any]:
    body = message.body
    msg = body.get("msg")
    number = body.get("i")
    headers = body.get("headers")
    return {
        "msg_id": message.msg_id,
        "i": number if type(number) is int and 0 <= number < 2**31 else 0,
        "topic": message.topic,
        "timestamp": message.sent,
        "category": category_of(message.topic),
        "msg": {} if msg is None else msg,
        "headers": headers if isinstance(headers, dict) and _fits_jsonb(headers) else None,
    }


def _fits_jsonb(headers: dict[str, Any]) -> bool:
    """Tell whether these are headers of the usual kind, texts by texts."""
    return bool(headers) and all(
        isinstance(text, str) and (not text or fits_databases(text))
        for pair in headers.items()
        for text in pair
    )


def _insert(connection: Connection, table: Any, values: Any, returning: Any) -> Any:
    """Insert unless it is there, also where another process inserts it at the same time."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(values).on_conflict_do_nothing()
    return connection.scalar(statement.returning(returning))


def _associate(
    connection: Connection,
    names: Iterable[str],
    kind: type[User] | type[Package],
    table: Table,
    message: tuple[Any, Any],
) -> None:
    # In one order for all, so that two processes cannot each hold what the other waits for.
    wanted = sorted({name for name in names if fits_databases(name)})
    if not wanted:
        return
    known = _numbers(connection, kind, wanted)
    new = [name for name in wanted if name not in known]
    for name in new:
        _insert(connection, kind.__table__, {"name": name}, kind.id)
    if new:
        known = _numbers(connection, kind, wanted)
    column = table.c[0].name
    connection.execute(
        table.insert(),
        [
            {column: number, "msg_id": message[0], "msg_timestamp": message[1]}
            for number in known.values()
        ],
    )


def _numbers(
    connection: Connection, kind: type[User] | type[Package], names: list[str]
) -> dict[str, int]:
    rows = connection.execute(select(kind.name, kind.id).where(kind.name.in_(names)))
    return {row.name: row.id for row in rows}
