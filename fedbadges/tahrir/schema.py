"""Tahrir's schema, for deployments that have none yet."""

import tahrir_api.utils
from sqlalchemy import URL

from fedbadges.databases.connections import create_indexes, engine, make_directory
from fedbadges.tahrir.own_tables import create_own_tables

#: Indexes that the daemon's questions want, and that the schemas do not bring.
TAHRIR_INDEXES = (
    "CREATE INDEX IF NOT EXISTS fedbadges_persons_email ON persons (lower(email))",
    "CREATE INDEX IF NOT EXISTS fedbadges_persons_nickname ON persons (lower(nickname))",
)


def create_tahrir(url: URL | str) -> None:
    """Create tahrir's schema, or bring it up to date, and the tables that fedbadges adds to it."""
    made = engine(url)
    make_directory(made.url)
    spelled = made.url.render_as_string(hide_password=False)
    tahrir_api.utils.get_db_manager_from_uri(spelled).sync()
    create_indexes(made, TAHRIR_INDEXES)
    create_own_tables(made)
