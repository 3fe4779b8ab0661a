"""Builders of settings, rules and messages for tests below the hub."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from datanommer.models import Message as Row
from tahrir_api.model import Person

from fedbadges.config.settings import Settings, read_settings
from fedbadges.criteria.backends import load_backends
from fedbadges.databases.connections import engine, parse_url, reader
from fedbadges.engine.engine import BadgeEngine, Triggered
from fedbadges.messages import Message, parse_message
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.own_tables import OWN
from support.bus import fedmsg_body
from support.databases import Databases
from support.optimisations import switched_off
from support.rules import only_rule, rule

ISSUER = {
    "issuer_origin": "https://badges.example.org",
    "issuer_name": "Example Badges",
    "issuer_org": "https://example.org",
    "issuer_contact": "badges@example.org",
}


def make_config(databases: Databases, directory: Path, **issuer: str) -> dict[str, Any]:
    """Return a configuration as fedmsg reads it, with the rules in ``directory``."""
    return {
        "badges.yaml.directory": str(directory),
        "badges_global": {
            "database_uri": databases.tahrir_url,
            "badge_issuer": ISSUER | issuer,
        },
        "datanommer.sqlalchemy.url": databases.datanommer_url,
        "fedbadges.datagrepper_url": "https://datagrepper.example.org",
        "badges.email_domain": "example.org",
        # fedmsg derives it from the prefix.
        "topic_prefix_re": r"org\.fedoraproject\.[^\W\d_]+",
        **switched_off(),
    }


def make_settings(
    databases: Databases, directory: Path, config: Mapping[str, Any] | None = None, **keys: Any
) -> Settings:
    """Return settings; ``keys`` are those below ``badges.``, ``config`` has any others."""
    config = make_config(databases, directory) | dict(config or {})
    config |= {f"badges.{name}": value for name, value in keys.items()}
    settings, warnings = read_settings(config)
    assert not warnings
    return settings


def make_message(topic: str = "logger.log", /, msg: Any = None, **envelope: Any) -> Message:
    """Return a message that comes now; ``envelope`` are keys beside ``msg``."""
    body = fedmsg_body(topic, {}) | {"msg": {} if msg is None else msg} | envelope
    message = parse_message(body)
    assert message is not None
    return message


def make_rule(settings: Settings, name: str, body: str, **metadata: str) -> Rule:
    """Return a rule, from its name and the YAML of its trigger, criteria and recipient."""
    text = rule(name, body, **metadata)
    return only_rule(text.encode(), f"{name}.yml", load_backends(settings))


def candidates_of(engine: BadgeEngine, message: Message) -> Triggered | None:
    """Return whoever could get a badge because of a message; None if that is nobody."""
    triggered = engine.match(message)
    return None if triggered is None else engine.find_candidates([triggered])[0]


def wipe(databases: Databases) -> None:
    """Empty the tables of both databases, for the next test."""
    for url, metadata in (
        (databases.tahrir_url, OWN),
        (databases.tahrir_url, Person.metadata),
        (databases.datanommer_url, Row.metadata),
    ):
        with engine(parse_url(url)).begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())


@contextlib.contextmanager
def statements(url: sa.URL) -> Iterator[list[str]]:
    """Yield the list of statements sent to a database meanwhile, but for PREPARE."""
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if not statement.startswith("PREPARE"):
            sent.append(statement)

    engines = [engine(url), reader(url), reader(url, prepare=False)]
    for each in set(engines):  # SQLite has one reader for both
        sa.event.listen(each, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        for each in set(engines):
            sa.event.remove(each, "before_cursor_execute", note)
