"""A database that is there and refuses as a whole is waited for: it is no message's fault."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from support.builders import make_message, make_settings
from support.daemon_restarts import Start, held, sent, store_message
from support.databases import Databases, Postgresql
from support.waiting import TIMEOUT, eventually

from fedbadges.errors import DatabaseUnusable
from fedbadges.history.history import History
from fedbadges.history.past_messages import Query
from fedbadges.rules.filters import FilledFilter

ROLE = "fedbadges_limited"


@pytest.fixture
def database(postgresql: Postgresql) -> Iterator[Databases]:
    """Two databases whose tables belong to another than who asks them."""
    owned = postgresql.create_databases()
    urls = [owned.tahrir_url, owned.datanommer_url]
    with contextlib.suppress(psycopg2.errors.DuplicateObject):
        ask(urls[0], f"CREATE ROLE {ROLE} LOGIN")
    for url in urls:
        for what in ("ALL TABLES", "ALL SEQUENCES"):
            ask(url, f"GRANT ALL ON {what} IN SCHEMA public TO {ROLE}")
    limited = [sa.make_url(url).set(username=ROLE) for url in urls]
    yield Databases("postgresql", *(url.render_as_string(hide_password=False) for url in limited))
    postgresql.drop_databases(owned)


@pytest.fixture
def owner(database: Databases, postgresql: Postgresql) -> Callable[[str, str], None]:
    """Does what only the owner of a database may."""

    def do(url: str, statement: str) -> None:
        user = sa.make_url(postgresql._url_of("postgres")).username
        own = sa.make_url(url).set(username=user)
        ask(own.render_as_string(hide_password=False), statement)

    return do


def ask(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


# What is done to tahrir's database, and what undoes it.
READ_ONLY = f"ALTER ROLE {ROLE} IN DATABASE {{0}} SET default_transaction_read_only = {{1}}"
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = '{0}' AND pid <> pg_backend_pid()"
)
HIDE = f"REVOKE SELECT ON messages FROM {ROLE}"  # noqa: S608  no SELECT
BREAKS = {
    "a table is gone": (
        ["ALTER TABLE assertions RENAME TO elsewhere"],
        ["ALTER TABLE elsewhere RENAME TO assertions"],
    ),
    "a column is gone": (
        ["ALTER TABLE persons RENAME COLUMN opt_out TO elsewhere"],
        ["ALTER TABLE persons RENAME COLUMN elsewhere TO opt_out"],
    ),
    "a right is gone": (
        [f"REVOKE INSERT ON assertions FROM {ROLE}"],
        [f"GRANT INSERT ON assertions TO {ROLE}"],
    ),
    "it is only read": (
        [READ_ONLY.format("{0}", "on"), CUT],
        # Connections stay as they were: so are those to a server that is a standby now.
        [READ_ONLY.format("{0}", "off")],
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_messages_wait_and_are_awarded_once_it_is_mended(
    start: Start,
    database: Databases,
    owner: Callable[[str, str], None],
    what: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    daemon = start()
    eventually((tmp_path / "state" / "checkpoint").exists, "the start")
    name = str(sa.make_url(database.tahrir_url).database)
    for statement in BREAKS[what][0]:
        owner(database.tahrir_url, statement.format(name))
    messages = [sent("alice"), sent("bob")]
    for message in messages:
        store_message(database, message)

    workers = [threading.Thread(target=daemon.handle, args=(each,)) for each in messages]
    for worker in workers:
        worker.start()
    eventually(lambda: 'Waiting for an outage to end error="tahrir: ' in caplog.text, "a warning")
    for statement in BREAKS[what][1]:
        owner(database.tahrir_url, statement.format(name))
    for worker in workers:
        worker.join(TIMEOUT)

    eventually(lambda: held(database, "alice", "bob") == [True, True], "the badges")
    assert list((tmp_path / "state" / "failed").iterdir()) == []
    assert caplog.text.count("Waiting for an outage to end") == 1
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


class Asking:
    """What a rule's own code may come to: a question that makes no sense."""

    def fill(self, body: Mapping[str, Any]) -> tuple[Any, ...]:
        return ()

    def over(self, query: Query, values: tuple[Any, ...]) -> Any:
        return list(query.order_by(sa.text("nothing")))


def test_a_rule_that_asks_for_what_is_not_there_keeps_nobody_waiting(
    database: Databases, owner: Callable[[str, str], None], tmp_path: Path
) -> None:
    history = History(make_settings(database, tmp_path))
    message = make_message("logger.first", {"user": "alice"})
    history.record(message, [], [])
    filled = FilledFilter((("topics", (message.topic,)),))

    with pytest.raises(sa.exc.ProgrammingError):
        history.compute(Asking(), filled, message)

    owner(database.datanommer_url, HIDE)
    with pytest.raises(DatabaseUnusable):
        history.compute(Asking(), filled, message)
