"""datanommer's part: storing what goes over the bus, in a process other than the daemon's."""

import io
import json
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

import psycopg2
import sqlalchemy as sa

from support.databases import Databases
from support.story import Told

_MESSAGES = "COPY messages (id, msg_id, i, topic, timestamp, category, agent_name, msg) FROM STDIN"
_CONCERNED = "COPY users_messages (user_id, msg_id, msg_timestamp) FROM STDIN"

_PORTION = 500
_PAUSE = 0.01
"""Seconds between two looks whether there is something to store."""

_AGAIN = 0.1
"""Seconds between two tries while the database is away."""


class HistoryWriter:
    """Stores messages in a PostgreSQL database, in portions, in a thread of its own.

    While the database is away it keeps them, and tries again. ``late`` is how many seconds it waits
    with each.
    """

    def __init__(self, databases: Databases, usernames: Iterable[str]) -> None:
        self._url = sa.make_url(databases.datanommer_url).render_as_string(hide_password=False)
        self._users = {name: number for number, name in enumerate(usernames, 1)}
        self._waiting: list[tuple[int, Told, float]] = []
        self.late = 0.0
        self._last = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._failure: psycopg2.Error | None = None
        self._connection: psycopg2.extensions.connection | None = None
        self._insert_users()
        self._thread = threading.Thread(target=self._work, name="datanommer", daemon=True)
        self._thread.start()

    def store(self, told: Told) -> None:
        """Has a message stored soon."""
        with self._changed:
            self._last += 1
            self._waiting.append((self._last, told, time.monotonic()))
            self._changed.notify()

    def finish(self, timeout: float = 60.0) -> None:
        """Waits until everything is stored."""
        with self._changed:
            stored = self._changed.wait_for(lambda: not self._waiting, timeout)
        assert stored, f"{len(self._waiting)} messages are not stored: {self._failure}"

    def close(self) -> None:
        """Stores no more."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        self._disconnect()

    def _insert_users(self) -> None:
        with psycopg2.connect(self._url) as connection, connection.cursor() as cursor:
            for name, number in self._users.items():
                cursor.execute("INSERT INTO users (id, name) VALUES (%s, %s)", (number, name))
        connection.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                due = time.monotonic() - self.late
                portion = [
                    (number, told) for number, told, came in self._waiting[:_PORTION] if came <= due
                ]
            if not portion and not self._stopping:
                time.sleep(_PAUSE)
                continue
            # The same again: it may have been stored, though nobody could say so.
            while not self._stopping and not self._try(portion):
                time.sleep(_AGAIN)
            if self._stopping:
                return
            with self._changed:
                del self._waiting[: len(portion)]
                self._changed.notify_all()
            time.sleep(_PAUSE)

    def _try(self, portion: Sequence[tuple[int, Told]]) -> bool:
        try:
            self._copy(portion)
        except psycopg2.errors.UniqueViolation:
            # All of it was stored the last time.
            self._disconnect()
            return True
        except psycopg2.Error as error:  # psycopg2 has several words for a server that goes away
            self._failure = error
            self._disconnect()
            return False
        return True

    def _copy(self, portion: Sequence[tuple[int, Told]]) -> None:
        if self._connection is None:
            self._connection = psycopg2.connect(self._url)
        messages, concerned = io.StringIO(), io.StringIO()
        for number, told in portion:
            body = told.body
            sent = datetime.fromtimestamp(body["timestamp"], timezone.utc).replace(tzinfo=None)
            text = json.dumps(body["msg"]).replace("\\", "\\\\")
            messages.write(
                f"{number}\t{body['msg_id']}\t1\t{body['topic']}\t{sent}"
                f"\t{body['topic'].split('.')[3]}\t{body['username']}\t{text}\n"
            )
            for name in told.users:
                concerned.write(f"{self._users[name]}\t{number}\t{sent}\n")
        with self._connection, self._connection.cursor() as cursor:
            for statement, rows in ((_MESSAGES, messages), (_CONCERNED, concerned)):
                rows.seek(0)
                cursor.copy_expert(statement, rows)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
