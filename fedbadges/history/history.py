"""The history: every past message, in datanommer's database."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table
from sqlalchemy import Connection, Engine, Table, exc, select
from sqlalchemy.dialects import postgresql, sqlite

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader, streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.history.count_cache import CountCache, CountResult
from fedbadges.history.evaluation import Test, evaluate, passing
from fedbadges.history.query import UnreadMessage
from fedbadges.history.recent_window import Recent, RecentMessages
from fedbadges.history.sql import Numbers, prepare, read
from fedbadges.messages import Message, category_of, fits_databases
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.util.caching import BoundedDict, make_cache_region
from fedbadges.util.throttle import Throttle

_NAME = "datanommer"

#: Who stored a message, where that is the daemon itself, after its signature was checked.
CHECKED = "fedbadges"

#: What the daemon looks into.
_TABLES: tuple[Any, ...] = (
    Row.__table__,
    User.__table__,
    Package.__table__,
    users_assoc_table,
    packages_assoc_table,
)

_STORED = PreparedStatement(
    select(Row.__table__.c.msg_id).where(
        is_any_of(Row.__table__.c.msg_id, array_parameter("wanted"))
    )
)

#: Of how many new messages it is remembered whether they pass a test.
_MOST_PASSED = 100_000

#: How many new messages are read at once; more are streamed.
_FEW = 2000


class History:
    """Questions to the past messages; each raises Unavailable while the database is away."""

    def __init__(self, settings: Settings) -> None:
        self._engine = engine(settings.history_url)
        self._database = repr(settings.history_url)
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._checked = bool(settings.fedmsg.get("validate_signatures"))
        self._numbers = Numbers()
        self._stumbles = Throttle()
        self._passed: BoundedDict[tuple[bytes, int], bool] = BoundedDict(_MOST_PASSED)
        self._recent = RecentMessages(settings.keep_counts_distance)
        self._counts = CountCache(
            make_cache_region(*settings.cache) if settings.keep_counts else None,
            settings.keep_counts_distance,
        )

    def _question(self, filled: FilledFilter, about: tuple[Any, ...] = ()) -> str | None:
        """Name a question, if its answer is worth keeping: a sliding one never comes again."""
        if filled.sliding or filled.msg_id is not None:
            return None
        return repr((self._database, filled.lists, filled.start, filled.end, about))

    def check(self) -> None:
        """See that the database and its tables are there; raises what SQLAlchemy says if not."""
        with translate_errors(_NAME), self._engine.connect() as connection:
            for table in _TABLES:
                connection.execute(select(table).limit(0))

    def stored(self, msg_ids: Iterable[str]) -> set[str]:
        """Tell which of these messages datanommer has stored by now."""
        wanted = set(msg_ids)
        if not wanted:
            return set()
        with translate_errors(_NAME), self._reader.connect() as connection:
            found = self._recent.stored(connection, wanted)
            if found != wanted:
                asked = {"wanted": list(wanted - found)}
                found |= set(_STORED.ask(connection, asked).scalars())
        return found

    def count(
        self, filled: FilledFilter, enough: int | None = None, message: Message | None = None
    ) -> int:
        """Count the past messages that a filter gives, or ``enough`` where there are that many.

        With ``message``, those that come after it was stored need not be among them.
        """
        counting = _Counting(self._reader, self._numbers, filled, self._near(filled, message))
        return self._counts.count(self._question(filled), counting, enough)

    def count_where(
        self,
        filled: FilledFilter,
        test: Test,
        about: tuple[Any, ...],
        enough: int | None = None,
        message: Message | None = None,
        shared: dict[Any, Any] | None = None,
    ) -> int:
        """Count those past messages that pass a test, which is called with each.

        ``about`` is what distinguishes this test from others. ``message`` is as in ``count``, and
        ``shared`` where several tests of the same messages, at about the same time, leave these for
        one another.
        """
        question = self._question(filled, about)
        digest = hashlib.sha256((question or "").encode("utf-8", "replace")).digest()
        testing = _Testing(
            _Counting(self._reader, self._numbers, filled, self._near(filled, message)),
            self._engine,
            passing(test, about, self._stumbles),
            _Passed(self._passed, digest),
            {} if shared is None else shared,
        )
        return self._counts.count(question, testing, enough)

    def _near(self, filled: FilledFilter, message: Message | None) -> _Near:
        def near(
            connection: Connection, after: datetime.datetime, safe: datetime.datetime
        ) -> list[Recent] | None:
            return self._recent.since(connection, filled, after, safe, message)

        return near

    def compute(self, expression: Expression, filled: FilledFilter, message: Message) -> Any:
        """Evaluate an expression over the past messages; raises MissingValue.

        It raises whatever the expression raises, too.
        """
        try:
            return evaluate(self._engine, self._numbers, expression, filled, message)
        except exc.DBAPIError:
            self.check()
            raise

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
        if self._checked:
            columns["source_name"] = CHECKED
        with translate_errors(_NAME), self._engine.begin() as connection:
            number = _insert(connection, Row.__table__, columns, Row.id)
            if number is None:
                return
            for names, kind, table in (
                (usernames, User, users_assoc_table),
                (packages, Package, packages_assoc_table),
            ):
                _associate(connection, names, kind, table, (number, message.sent))


#: Gives the messages that were sent later than the first moment, if all of them are in memory.
_Near = Callable[[Connection, datetime.datetime, datetime.datetime], list[Recent] | None]


@dataclass(frozen=True)
class _Counting:
    """Counts the messages that a filter gives, in the database or among those in memory."""

    reader: Engine
    numbers: Numbers
    filled: FilledFilter
    near: _Near

    def __call__(
        self, after: datetime.datetime | None, safe: datetime.datetime, limit: int | None
    ) -> CountResult:
        with translate_errors(_NAME), self.reader.connect() as connection:
            near = None if after is None else self.near(connection, after, safe)
            if near is not None:
                return _tally(near, safe)
            asked = prepare(connection, self.numbers, self.filled, after, limit)
            if asked is None:
                return CountResult(0, 0, complete=True)
            settled, total = asked.count(connection, safe)
        return CountResult(settled, total, complete=limit is None or total < limit)

    def rows(
        self, connection: Connection, after: datetime.datetime | None, most: int | None
    ) -> Iterable[Any]:
        """Read the messages themselves, at most so many."""
        asked = prepare(connection, self.numbers, self.filled, after, most)
        return [] if asked is None else asked.messages(connection)


@dataclass(frozen=True)
class _Passed:
    """Which messages are known to have passed one test, or not."""

    known: BoundedDict[tuple[bytes, int], bool]
    test: bytes

    def get(self, number: int) -> bool | None:
        return self.known.get((self.test, number))

    def note(self, number: int, passed: bool) -> None:
        self.known[self.test, number] = passed


@dataclass(frozen=True)
class _Testing:
    """Counts the messages that pass a test, streaming them where they may be many."""

    counting: _Counting
    engine: Engine
    test: Test
    passed: _Passed
    shared: dict[Any, Any]

    def __call__(
        self, after: datetime.datetime | None, safe: datetime.datetime, limit: int | None
    ) -> CountResult:
        if after is not None:
            with translate_errors(_NAME), self.counting.reader.connect() as connection:
                few = self._few(connection, after, safe)
            if few is not None:
                return _tally(few, safe)
        with translate_errors(_NAME), streaming(self.engine) as connection:
            rows = self.counting.rows(connection, after, None)
            messages = (UnreadMessage(row, connection) for row in rows)
            return _tally(filter(self.test, messages), safe, limit)

    def _few(
        self, connection: Connection, after: datetime.datetime, safe: datetime.datetime
    ) -> list[Any] | None:
        """Give those that pass of what was sent later than ``after``; None where it is much."""
        few: list[Any] | None = self.counting.near(connection, after, safe)
        contents: dict[int, Any] = self.shared.setdefault("contents", {})
        if few is None:
            few = list(self.counting.rows(connection, after, _FEW))
            contents.update((row.id, row) for row in few)
        passed = {row.id: self.passed.get(row.id) for row in few}
        new = [number for number, known in passed.items() if known is None]
        if len(new) >= _FEW:
            return None
        unread = [number for number in new if number not in contents]
        if unread:
            contents.update((row.id, row) for row in read(connection, unread, after))
        for number in filter(contents.__contains__, new):
            passed[number] = self.test(UnreadMessage(contents[number], connection))
            self.passed.note(number, bool(passed[number]))
        return [row for row in few if passed[row.id]]


def _tally(
    messages: Iterable[Any], safe: datetime.datetime, limit: int | None = None
) -> CountResult:
    settled = total = 0
    for message in messages:
        total += 1
        settled += message.timestamp <= safe
        if limit is not None and total >= limit:
            return CountResult(settled, total, complete=False)
    return CountResult(settled, total, complete=True)


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
