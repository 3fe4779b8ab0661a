"""What every start checks: the configuration, the rule directory, signatures, the databases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fedbadges.config.keys import ConfigReader
from fedbadges.config.settings import KEYS, Settings, read_settings
from fedbadges.databases.connections import engine
from fedbadges.databases.outages import retry_races, translate_errors
from fedbadges.errors import DatabaseUnusable, SettingsError, Unavailable
from fedbadges.history.history import History
from fedbadges.history.schema import create_history
from fedbadges.rules import file_permissions
from fedbadges.signatures import options as signatures
from fedbadges.tahrir.schema import create_tahrir
from fedbadges.util.text import describe_error

#: What a database says, where it is there and still will not be asked, however long one waits.
#: psycopg2 gives no code for what goes wrong while connecting, so a server that speaks another
#: language is waited for.
_HOPELESS = re.compile(
    r"(database|role) \".*\" does not exist|authentication failed|no pg_hba.conf entry"
    r"|no password supplied|unable to open database file|readonly database"
)
_UNDEFINED_TABLE = "42P01"


def read_start_settings(config: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Read the settings of a daemon on a bus; return them with warnings.

    Raises:
        SettingsError: With every mistake in the settings, and all of ``start_mistakes``.
    """
    try:
        settings, warnings = read_settings(config, in_hub=True)
    except SettingsError as error:
        raise SettingsError([*error.lines, *start_mistakes(config)]) from None
    mistakes = start_mistakes(config)
    if mistakes:
        raise SettingsError(mistakes)
    return settings, [*warnings, *signatures.dangers(config)]


def start_mistakes(config: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that a start finds wrong behind well-formed settings.

    These are certificates that cannot be used, and a rule directory that others can write.
    """
    lines = signatures.mistakes(config)
    reader, key = ConfigReader(config), KEYS["rules_directory"]
    directory = reader.read(key)
    if directory is not None and not reader.read(KEYS["insecure_rules"]):
        lines += [
            f"{reader.locate(key)}: {key} cannot be trusted: {mistake}"
            for mistake in file_permissions.mistakes(directory)
        ]
    return lines


def prepare_databases(settings: Settings, history: History) -> None:
    """See that the databases are fit; make their tables first where the settings want that.

    Raises Unavailable, and whatever SQLAlchemy and tahrir's migrations raise.
    """
    if settings.create_tables:
        with translate_errors("tahrir"):
            retry_races(lambda: create_tahrir(settings.tahrir_url))
        with translate_errors("datanommer"):
            retry_races(lambda: create_history(engine(settings.history_url)))
    history.check()


def mistake_of(error: Exception, settings: Settings) -> str | None:
    """Tell what is wrong, in one line, where waiting does not mend it; None where it may."""
    if isinstance(error, DatabaseUnusable):
        return f"{error}{_hint(error, settings)}"
    if isinstance(error, Unavailable):
        return str(error) if _HOPELESS.search(str(error)) else None
    return describe_error(error)


def _hint(unusable: DatabaseUnusable, settings: Settings) -> str:
    origin = getattr(unusable.__cause__, "orig", None)
    missing = getattr(origin, "pgcode", None) == _UNDEFINED_TABLE
    missing = missing or str(origin).startswith("no such table")
    if not missing or settings.create_tables:
        return ""
    return "; 'badges.create_tables': True makes the tables"
