"""What every start checks: the configuration, the rule directory, signatures, the databases."""

import re
from collections.abc import Mapping
from typing import Any

from fedbadges.config.reader import ConfigReader
from fedbadges.config.settings import KEYS, Settings, read_settings
from fedbadges.databases.connections import engine
from fedbadges.databases.outages import retry_races, translate_errors
from fedbadges.engine.badge_store import BadgeStore
from fedbadges.errors import CannotStart, DatabaseUnusable, SettingsError, Unavailable
from fedbadges.history.history import History
from fedbadges.history.schema import create_history
from fedbadges.rules import file_permissions
from fedbadges.rules.index import RuleSet
from fedbadges.service.wiring import Parts
from fedbadges.signatures import options as signatures
from fedbadges.tahrir.schema import check_tahrir, create_tahrir
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

log = get_logger(__name__)

#: Errors of databases that waiting does not end. psycopg2 has no codes for errors while connecting,
#: so the daemon waits for a server whose messages are in another language.
_PERMANENT = re.compile(
    r"(database|role) \".*\" does not exist|authentication failed|no pg_hba.conf entry"
    r"|no password supplied|unable to open database file|readonly database"
)
_UNDEFINED_TABLE = "42P01"

#: About how many people tahrir is asked about at the start.
_MOST_PEOPLE = 1000


def read_start_settings(
    config: Mapping[str, Any], *, in_hub: bool = True
) -> tuple[Settings, list[str]]:
    """Read the settings of a daemon on a bus; return them with warnings.

    On a bus that is not ``in_hub``, messages have no signatures. Raises SettingsError with every
    mistake in the settings, and all of ``start_mistakes``.
    """
    mistakes = start_mistakes(config)
    try:
        settings, warnings = read_settings(config, in_hub=in_hub)
    except SettingsError as error:
        raise SettingsError([*error.lines, *mistakes]) from None
    if mistakes:
        raise SettingsError(mistakes)
    return settings, [*warnings, *(signatures.dangers(config) if in_hub else ())]


def start_mistakes(config: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that a start finds wrong behind well-formed settings.

    These are certificates that cannot be used, and a rule directory that others can write.
    """
    lines = signatures.mistakes(config)
    reader, key = ConfigReader(config), KEYS["rules_directory"]
    directory = reader.read(key)
    if directory is not None and not reader.read(KEYS["insecure_rules"]):
        lines += [
            f"{reader.locate(key.name)}: {reader.describe(key)} cannot be trusted: {mistake}"
            for mistake in file_permissions.mistakes(directory)
        ]
    return lines


def prepare_start(settings: Settings, parts: Parts) -> None:
    """Check the configuration, the state directory and the databases, and load the rules.

    Raises:
        Unavailable: A database does not answer, and may do so later.
        CannotStart: Waiting does not help.
    """
    mistakes = start_mistakes(settings.fedmsg)
    if mistakes:
        raise CannotStart("; ".join(mistakes))
    try:
        parts.checkpoint.prepare()
        parts.dead_letters.prepare()
        prepare_databases(settings, parts.history)
        parts.own_tables.check()
        parts.load_rules()
    except Exception as error:  # a mistake in the schema, a directory that cannot be created, ...
        reason = _permanent_reason(error, settings)
        if reason is None:
            raise
        if not isinstance(error, Unavailable):
            log.debug("The error was raised here", exc_info=error)
        raise CannotStart(reason) from error


def lock_state_directory(parts: Parts) -> None:
    """Lock the state directory for this daemon; raise CannotStart if another uses it."""
    try:
        parts.checkpoint.prepare()
        parts.lock.acquire()
    except OSError as error:
        raise CannotStart(describe_error(error)) from error


def prepare_databases(settings: Settings, history: History) -> None:
    """Check the databases, and create their tables before if the settings want that.

    Raises Unavailable, and whatever SQLAlchemy and tahrir's migrations raise.
    """
    if settings.create_tables:
        with translate_errors("tahrir"):
            retry_races(lambda: create_tahrir(settings.tahrir_url))
        with translate_errors("datanommer"):
            retry_races(lambda: create_history(engine(settings.history_url)))
    with translate_errors("tahrir"):
        check_tahrir(settings.tahrir_url)
    history.check()


def remember_recent_people(history: History, store: BadgeStore, rules: RuleSet) -> None:
    """Ask tahrir once about everybody who was active lately, rather than again for each of them.

    That is of use if ``store`` remembers it. Where it fails, messages ask for themselves.
    """
    people = history.window.latest_people(_MOST_PEOPLE)
    if not people:
        return
    try:
        store.holdings(people, {rule.badge.id for rule in rules})
    except Exception as error:  # such as that so large a question takes too long
        log.info("Could not ask tahrir about recent people", error=describe_error(error))


def _permanent_reason(error: Exception, settings: Settings) -> str | None:
    """Return in one line why waiting does not help, or None if it may."""
    if not isinstance(error, Unavailable):
        return describe_error(error)
    if not isinstance(error, DatabaseUnusable):
        return str(error) if _PERMANENT.search(str(error)) else None
    origin = getattr(error.__cause__, "orig", None)
    missing = getattr(origin, "pgcode", None) == _UNDEFINED_TABLE
    if (missing or str(origin).startswith("no such table")) and not settings.create_tables:
        return f"{error}; 'badges.create_tables': True makes the tables"
    return str(error)
