"""The columns of datanommer's messages, read so that a damaged row does not stop the others.

A row can hold anything: a driver or an ORM that converts a value fails for the whole result, and so
for every row in it. So contents and headers are read as text here, and a time that Python cannot
hold as None.
"""

import datetime
import threading
import time
from collections.abc import Mapping
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import ColumnElement, Dialect, Integer, String, bindparam, tuple_, type_coerce
from sqlalchemy.types import NullType, TypeDecorator

from fedbadges.databases.prepared_statements import dialect_function
from fedbadges.errors import DamagedRow
from fedbadges.messages import fits_databases
from fedbadges.util.caching import BoundedDict
from fedbadges.util.json_text import parse_json
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import PERIOD

log = get_logger(__name__)

#: How many damaged rows are logged one by one, and of how many is known that they were noted.
_LOGGED = 20
_NOTED = 100_000

_COLUMNS = Row.__table__.c


class _Time(TypeDecorator[datetime.datetime]):
    """A time, naive UTC; None where it is none that Python can hold."""

    impl = NullType
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime.datetime | None:
        """Parse what SQLite has as text; for PostgreSQL, its driver has done that."""
        return parse_time(value)


def parse_time(raw: Any) -> datetime.datetime | None:
    """Return a time, naive UTC, of what a driver returns; None where Python can hold none."""
    if isinstance(raw, str):
        try:
            raw = datetime.datetime.fromisoformat(raw)
        except ValueError:
            return None
    return raw if isinstance(raw, datetime.datetime) and raw.tzinfo is None else None


_as_text = dialect_function(String(), postgresql="CAST({} AS TEXT)", sqlite="{}")

#: When a message was sent.
TIMESTAMP = type_coerce(_COLUMNS.timestamp, _Time()).label("timestamp")
#: The same as the database has it, to read on from there. (As text, it is not converted.)
RAW_TIMESTAMP = type_coerce(_COLUMNS.timestamp, String()).label("raw_timestamp")
#: The content and the headers, in JSON.
TEXT = type_coerce(_COLUMNS.msg, String()).label("text")
HEADERS = _as_text(_COLUMNS.headers).label("headers")

#: What was sent before or after, Python cannot read.
FIRST_TIME, LAST_TIME = datetime.datetime.min, datetime.datetime.max


def after(row: Any) -> tuple[ColumnElement[bool], ...] | None:
    """Return the conditions for what follows a row in order of time; None if nothing can be read.

    The row has its ``id`` and ``raw_timestamp``.
    """
    if row.raw_timestamp is None:
        # Too late for Python, as is whatever follows.
        return None
    sent = bindparam("sent", row.raw_timestamp, String())
    number = bindparam("number", row.id, Integer())
    # The second condition is implied by the first; any database uses an index for it.
    return (
        tuple_(_COLUMNS.timestamp, _COLUMNS.id) > tuple_(sent, number),
        _COLUMNS.timestamp >= sent,
    )


def check_header(topic: object, sent: datetime.datetime | None) -> None:
    """Check what is needed of every row; raise DamagedRow."""
    if sent is None:
        raise DamagedRow("its timestamp cannot be read")
    if not isinstance(topic, str) or not fits_databases(topic):
        raise DamagedRow("it has no usable topic")


def parse_content(text: object) -> Any:
    """Parse the JSON of a row; raise DamagedRow."""
    if not isinstance(text, (str, bytes)):
        raise DamagedRow("it has no content")
    try:
        return parse_json(text)
    except ValueError as error:
        raise DamagedRow(f"{type(error).__name__}: {error}") from error


def body_of(row: Any, content: Any) -> dict[str, Any]:
    """Return a message as it was sent, as far as its row tells; raise DamagedRow.

    The row has its ``headers`` and ``timestamp`` as the columns above; ``content`` was parsed.
    """
    check_header(row.topic, row.timestamp)
    body: dict[str, Any] = {
        "topic": row.topic,
        "msg": content,
        "msg_id": row.msg_id,
        "timestamp": seconds_of(row.timestamp),
        "i": row.i,
    }
    headers = None if row.headers is None else parse_content(row.headers)
    if headers:
        body["headers"] = headers
    if row.agent_name and isinstance(row.agent_name, str):
        body["username"] = row.agent_name
    return body


def seconds_of(sent: datetime.datetime) -> float:
    """Return a time, naive UTC, in seconds since 1970."""
    return sent.replace(tzinfo=datetime.timezone.utc).timestamp()


class DamageLog:
    """Logs rows that are skipped: the first one by one, then ever fewer; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: BoundedDict[int, None] = BoundedDict(_NOTED)
        self._total = self._count = 0
        self._last = 0.0

    def add(self, number: int, msg_id: str | None, error: Exception) -> None:
        """Note that a row is skipped, unless it was skipped before."""
        now = time.monotonic()
        with self._lock:
            if number in self._noted:
                return
            self._noted[number] = None
            if now - self._last > PERIOD:
                self._count = 0
            self._last = now
            self._total += 1
            self._count += 1
            count = self._count
        if count <= _LOGGED:
            fields: Mapping[str, Any] = {"row": number, "msg_id": msg_id, "error": str(error)}
            log.warning("Could not parse a message of the history, skipping it", **fields)
        elif count & (count - 1) == 0:  # a power of two
            self._log_more(count, number)

    def finish(self) -> None:
        """Log how many rows were skipped in all, if not each was logged; they may come again."""
        with self._lock:
            total, last = self._total, next(reversed(self._noted), 0)
            self._noted.clear()
            self._total = self._count = 0
        if total > _LOGGED:
            self._log_more(total, last)

    def _log_more(self, count: int, number: int) -> None:
        log.warning(
            "Skipping more messages of the history than are logged", count=count, row=number
        )
