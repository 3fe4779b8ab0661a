"""Made-up histories, and the awards of a daemon that ran from the beginning."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table
from tahrir_api.model import Assertion, Person

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine as database_engine
from fedbadges.engine.engine import BadgeEngine, Earned
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.history.message_reader import MessageReader
from fedbadges.messages import Message, category_of, parse_message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import link_to
from fedbadges.tahrir.database import Tahrir
from support.builders import candidates_of

PREFIX = "org.fedoraproject.prod."

Awards = set[tuple[str, str, str | None]]
"""Badge ids, people and links."""


@dataclass(frozen=True)
class PastMessage:
    """A message as datanommer has it."""

    number: int
    sent: datetime
    topic: str
    msg: Any = field(default_factory=dict)
    users: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    agent: str | None = None
    msg_id: str | None = None

    @property
    def id(self) -> str:
        return f"2024-{self.number}" if self.msg_id is None else self.msg_id


class Storage:
    """Store messages with the numbers that they have."""

    def __init__(self, settings: Settings) -> None:
        self._engine = database_engine(settings.history_url)
        self._numbers: dict[tuple[str, str], int] = {}

    def store(self, messages: Iterable[PastMessage]) -> None:
        with self._engine.begin() as connection:
            for past in messages:
                self._store(connection, past)

    def _store(self, connection: sa.Connection, past: PastMessage) -> None:
        topic = past.topic if past.topic.startswith(("org.", "io.")) else PREFIX + past.topic
        columns = {
            "id": past.number,
            "msg_id": past.id,
            "i": 1,
            "topic": topic,
            "timestamp": past.sent,
            "category": category_of(topic),
            "agent_name": past.agent,
            "msg": past.msg,
        }
        connection.execute(Row.__table__.insert().values(columns))
        for kind, table, names in (
            (User, users_assoc_table, past.users),
            (Package, packages_assoc_table, past.packages),
        ):
            for name in names:
                values = {table.c[0].name: self._number(connection, kind, name)}
                values |= {"msg_id": past.number, "msg_timestamp": past.sent}
                connection.execute(table.insert().values(values))

    def _number(self, connection: sa.Connection, kind: Any, name: str) -> int:
        key = kind.__tablename__, name
        if key not in self._numbers:
            made = connection.execute(kind.__table__.insert().values(name=name))
            (self._numbers[key],) = made.inserted_primary_key
        return self._numbers[key]


def in_order(messages: Iterable[PastMessage]) -> list[PastMessage]:
    """Return messages in the order of the history."""
    return sorted(messages, key=lambda past: (past.sent, past.number))


def live(
    settings: Settings,
    rules: Sequence[Rule],
    messages: Iterable[PastMessage],
    see: Callable[[Message], object] = lambda message: None,
    handled: Callable[[PastMessage], bool] = lambda past: True,
) -> Awards:
    """Handle every message when it is stored, one by one, and return the awards in tahrir.

    :param see: is called with each before it is decided.
    :param handled: says which are; the others are only stored.
    """
    tahrir, storage, archive = Tahrir(settings), Storage(settings), MessageReader(settings)
    tahrir.publish_badges([rule.badge for rule in rules])
    recipients = RecipientFinder(settings, FedmsgUsernames(settings.fedmsg))
    engine = BadgeEngine(settings, tahrir, recipients, RuleSet(rules))
    for past in in_order(messages):
        storage.store([past])
        if not handled(past):
            continue
        (archived,) = archive.messages([past.number])
        message = parse_message(archived.body, archived.users)
        assert message is not None
        see(message)
        case = candidates_of(engine, message)
        if case is not None:
            engine.decide(case)
    return awarded(settings)


def awarded(settings: Settings) -> Awards:
    """Return what tahrir has."""
    held = sa.select(Assertion.badge_id, Person.nickname, Assertion.issued_for).join(
        Person, Person.id == Assertion.person_id
    )
    with database_engine(settings.tahrir_url).connect() as connection:
        return {tuple(row) for row in connection.execute(held)}


def earned(settings: Settings, found: Iterable[Earned]) -> Awards:
    """Return the same of what a replay has found, each once."""
    listed = [
        (each.rule.badge.id, each.username, link_to(each.message, settings)) for each in found
    ]
    assert len(listed) == len(set(listed))
    return set(listed)
