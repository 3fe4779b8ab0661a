"""The file of counts: an SQLite database that is never trusted to be whole.

A disk may have changed anything in it, so each row has a checksum. Nothing in it is ever run, and
losing it costs time only.
"""

import hashlib
import json
import os
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

#: The file's name in the state directory.
NAME = "counts.sqlite"

#: The version of the format. Raise it also if a question with the same text can get another answer.
FORMAT = 1

#: How many counts a file has at most, and how many bytes; then the oldest are dropped.
_MAX_ROWS = 1_000_000
_MAX_BYTES = 512 * 1024**2

#: After how many writes the file is trimmed.
_TRIM_EVERY = 100

#: Seconds to wait for whoever else writes, such as a sysadmin with ``sqlite3``.
_TIMEOUT = 1.0

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum BLOB);
CREATE TABLE IF NOT EXISTS horizons (id INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS counts (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    value TEXT NOT NULL,
    horizon INTEGER NOT NULL,
    checksum BLOB NOT NULL
);
PRAGMA user_version = {FORMAT};
COMMIT;
"""
_READ = """
SELECT counts.value, horizons.value, checksum
FROM counts LEFT JOIN horizons ON horizons.id = horizon WHERE key = ?
"""
# What is replaced gets another id, so that the lowest ids are those written the longest ago.
_WRITE = """
INSERT OR REPLACE INTO counts (key, value, horizon, checksum)
VALUES (?, ?, (SELECT id FROM horizons WHERE value = ?), ?)
"""
_DROP = "DELETE FROM counts WHERE id <= (SELECT id FROM counts ORDER BY id LIMIT 1 OFFSET ?)"
_DROP_UNUSED = "DELETE FROM horizons WHERE id NOT IN (SELECT horizon FROM counts)"


#: Errors of sqlite3 that say nothing about what is in the file.
_UNUSABLE = re.compile(r"locked|full|readonly|unable to open|disk I/O|closed database")


class DamagedCounts(Exception):
    """A file has something else than what was written there, or another version of the format."""


class Entry(NamedTuple):
    """A count as text, and the horizon of its base as text; many counts have the same."""

    value: str
    horizon: str


class CountFile:
    """A file of counts, for one process; any of its threads may read, and one at a time writes.

    The methods raise what sqlite3 raises; DamagedCounts, if what was read is not what was written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_open = True
        self._writes = 0
        # Connections that nobody uses; each is used by one thread at a time.
        self._idle: list[sqlite3.Connection] = []
        # As all files of the state directory, for its owner alone; SQLite's others are like it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        self._writer = self._connect(_TIMEOUT)
        try:
            (version,) = self._writer.execute("PRAGMA user_version").fetchone()
            (tables,) = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if version != FORMAT and tables:
                raise DamagedCounts("another version of the format")
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = NORMAL")
            if not tables:
                self._writer.executescript(_SCHEMA)
            self.about()
        except BaseException:
            self._writer.close()
            raise

    def read(self, key: str) -> Entry | None:
        """Return a count, or None if the file has none; never wait for whoever writes."""
        if not self._is_open:
            return None
        hashed = _hash(key)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect(0.0)
        try:
            found = connection.execute(_READ, (hashed,)).fetchone()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        if not self._is_open:
            self._close_idle()
        if found is None:
            return None
        *texts, checksum = found
        if checksum != _checksum(hashed, *texts):
            raise DamagedCounts("a wrong checksum")
        return Entry(*texts)

    def about(self) -> dict[str, Any]:
        """Return what was written last about the counts; nothing in a new file."""
        found = self._writer.execute("SELECT value, checksum FROM about").fetchone()
        if found is None:
            return {}
        text, checksum = found
        if checksum != _checksum(b"", text):
            raise DamagedCounts("a wrong checksum")
        about: dict[str, Any] = json.loads(text)
        return about

    def count(self) -> int:
        """Return how many counts there are."""
        return int(self._writer.execute("SELECT count(*) FROM counts").fetchone()[0])

    def write(self, entries: Iterable[tuple[str, Entry]], about: dict[str, Any]) -> None:
        """Write counts, and what is to be known about all of them, in one transaction."""
        rows = []
        for key, entry in entries:
            hashed = _hash(key)
            rows.append((hashed, *entry, _checksum(hashed, *entry)))
        text = json.dumps(about)
        horizons = {(row[2],) for row in rows}
        with self._transaction() as writer:
            writer.executemany("INSERT OR IGNORE INTO horizons (value) VALUES (?)", horizons)
            writer.executemany(_WRITE, rows)
            writer.execute(
                "INSERT OR REPLACE INTO about VALUES ('about', ?, ?)", (text, _checksum(b"", text))
            )
            self._writes += 1
            if self._writes % _TRIM_EVERY == 0 or self._bytes() > _MAX_BYTES:
                self._trim()

    def clear(self) -> None:
        """Drop all counts, and what is known about them."""
        with self._transaction() as writer:
            for table in ("counts", "horizons", "about"):
                writer.execute(f"DELETE FROM {table}")  # noqa: S608

    def close(self) -> None:
        """Close the file; whoever is reading goes on."""
        self._is_open = False
        self._close_idle()
        self._writer.close()

    def _connect(self, timeout: float) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
        )

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._writer)

    def _bytes(self) -> int:
        size, pages, free = (
            self._writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "page_count", "freelist_count")
        )
        return int(size * (pages - free))

    def _trim(self) -> None:
        """Drop the oldest counts of too many, and horizons that none has any more."""
        self._writer.execute(_DROP_UNUSED)
        excess = self.count() - _MAX_ROWS
        if self._bytes() > _MAX_BYTES:
            excess = max(excess, self.count() // 4)
        if excess > 0:
            self._writer.execute(_DROP, (excess - 1,))
            self._writer.execute(_DROP_UNUSED)


class _Transaction:
    """A transaction that is rolled back if anything is raised within."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, *others: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def is_damage(error: Exception) -> bool:
    """Return True if an error means that the content of the file is not to be used."""
    if isinstance(error, sqlite3.Error):
        return _UNUSABLE.search(str(error)) is None
    return isinstance(error, DamagedCounts)


def delete(path: Path) -> None:
    """Delete a file of counts; raise OSError."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()[:16]


def _checksum(key: bytes, *texts: object) -> bytes:
    content = repr((key, texts)).encode("utf-8", "replace")
    return hashlib.blake2b(content, digest_size=8).digest()
