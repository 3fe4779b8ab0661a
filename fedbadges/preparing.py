"""What must be so before the first message: databases that are there and fit."""

from __future__ import annotations

import re

from fedbadges.databases import (
    Broken,
    asking,
    create_history,
    create_tahrir,
    despite_races,
    engine,
)
from fedbadges.history import History
from fedbadges.rules.criteria import Unavailable
from fedbadges.settings import Settings
from fedbadges.words import words_of

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
        with asking("tahrir"):
            despite_races(lambda: create_tahrir(settings.tahrir_url))
        with asking("datanommer"):
            despite_races(lambda: create_history(engine(settings.history_url)))
    history.check()


def mistake_of(error: Exception, settings: Settings) -> str | None:
    """Tell what is wrong, in one line, where waiting does not mend it; None where it may."""
    if isinstance(error, Broken):
        return f"{error}{_hint(error, settings)}"
    if isinstance(error, Unavailable):
        return str(error) if _HOPELESS.search(str(error)) else None
    return words_of(error)


def _hint(broken: Broken, settings: Settings) -> str:
    origin = getattr(broken.__cause__, "orig", None)
    missing = getattr(origin, "pgcode", None) == _UNDEFINED_TABLE
    missing = missing or str(origin).startswith("no such table")
    if not missing or settings.create_tables:
        return ""
    return "; 'badges.create_tables': True makes the tables"
