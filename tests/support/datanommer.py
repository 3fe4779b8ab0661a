"""datanommer's part: storing the messages of the bus, in batches and perhaps late."""

import io
import json
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

import psycopg2
import sqlalchemy as sa

from support.databases import Databases
from support.waiting import TIMEOUT
from support.workload import SentMessage

_MESSAGES = "COPY messages (id, msg_id, i, topic, timestamp, category, agent_name, msg) FROM STDIN"
_USER = "INSERT INTO users (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_CONCERNED = "COPY users_messages (user_id, msg_id, msg_timestamp) FROM STDIN"

_BATCH = 500
_PAUSE = 0.01
"""Seconds between two looks whether there is something to store."""

_AGAIN = 0.1
"""Seconds between two tries while the database is away."""


class DatanommerWriter:
    """Store messages in a PostgreSQL database, in batchs, in a thread of its own.

    While the database is away it keeps them, and tries again. It stores each after ``delay``
    seconds.
    """

    def __init__(self, databases: Databases, usernames: Iterable[str]) -> None:
        self._url = sa.make_url(databases.datanommer_url).render_as_string(hide_password=False)
        self._users: dict[str, int] = {}
        self._waiting: list[tuple[int, SentMessage, float]] = []
        self.delay = 0.0
        self._last = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._failure: psycopg2.Error | None = None
        self._connection: psycopg2.extensions.connection | None = None
        self._insert_users(usernames)
        self._thread = threading.Thread(target=self._work, name="datanommer", daemon=True)
        self._thread.start()

    def store(self, message: SentMessage) -> None:
        """Store a message soon."""
        with self._changed:
            self._last += 1
            self._waiting.append((self._last, message, time.monotonic()))
            self._changed.notify()

    def finish(self, timeout: float = 2 * TIMEOUT) -> None:
        """Wait until everything is stored."""
        with self._changed:
            stored = self._changed.wait_for(lambda: not self._waiting, timeout)
        assert stored, f"{len(self._waiting)} messages are not stored: {self._failure}"

    def close(self) -> None:
        """Store no more."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()
        self._disconnect()

    def _insert_users(self, names: Iterable[str]) -> None:
        connection = psycopg2.connect(self._url)
        with connection, connection.cursor() as cursor:
            for name in names:
                if name not in self._users:
                    number = len(self._users) + 1
                    cursor.execute(_USER, (number, name))
                    self._users[name] = number
        connection.close()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                due = time.monotonic() - self.delay
                batch = [
                    (number, message)
                    for number, message, came in self._waiting[:_BATCH]
                    if came <= due
                ]
            if not batch and not self._stopping:
                time.sleep(_PAUSE)
                continue
            # The same again: it may have been stored, though nobody could say so.
            while not self._stopping and not self._try(batch):
                time.sleep(_AGAIN)
            if self._stopping:
                return
            with self._changed:
                del self._waiting[: len(batch)]
                self._changed.notify_all()
            time.sleep(_PAUSE)

    def _try(self, batch: Sequence[tuple[int, SentMessage]]) -> bool:
        try:
            self._copy(batch)
        except psycopg2.errors.UniqueViolation:
            # All of it was stored the last time.
            self._disconnect()
            return True
        except psycopg2.Error as error:  # psycopg2 has several words for a server that goes away
            self._failure = error
            self._disconnect()
            return False
        return True

    def _copy(self, batch: Sequence[tuple[int, SentMessage]]) -> None:
        if self._connection is None:
            self._connection = psycopg2.connect(self._url)
        users = {name for _, message in batch for name in message.users}
        if not users <= self._users.keys():
            self._insert_users(users)
        messages, concerned = io.StringIO(), io.StringIO()
        for number, message in batch:
            body = message.body
            sent = datetime.fromtimestamp(body["timestamp"], timezone.utc).replace(tzinfo=None)
            text = json.dumps(body["msg"]).replace("\\", "\\\\")
            messages.write(
                f"{number}\t{body['msg_id']}\t1\t{body['topic']}\t{sent}"
                f"\t{body['topic'].split('.')[3]}\t{body['username']}\t{text}\n"
            )
            for name in message.users:
                concerned.write(f"{self._users[name]}\t{number}\t{sent}\n")
        with self._connection, self._connection.cursor() as cursor:
            for statement, rows in ((_MESSAGES, messages), (_CONCERNED, concerned)):
                rows.seek(0)
                cursor.copy_expert(statement, rows)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
