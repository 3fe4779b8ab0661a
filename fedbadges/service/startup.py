"""What must be so before the first message: databases that are there and fit."""

from __future__ import annotations

import re

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.databases.outages import retry_races, translate_errors
from fedbadges.errors import DatabaseUnusable, Unavailable
from fedbadges.history.history import History
from fedbadges.history.schema import create_history
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
