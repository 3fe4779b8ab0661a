"""The tables that fedbadges adds to tahrir's database: they are its own, and may be missing."""

from functools import cached_property

from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Identity,
    Integer,
    MetaData,
    Table,
    Text,
    exc,
    inspect,
    text,
)

from fedbadges.databases.connections import reader
from fedbadges.databases.outages import is_broken, translate_errors
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Apart from tahrir's own, so that neither its migrations nor its models know of these.
OWN = MetaData()

#: Notices whose award is committed and that are not published yet; times are naive UTC. A process
#: leaves alone what another has a lease on.
OUTBOX = Table(
    "fedbadges_outbox",
    OWN,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("msg_id", Text, nullable=False, unique=True),
    Column("topic", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created", DateTime, nullable=False),
    Column("leased_by", Text),
    Column("leased_until", DateTime),
)

#: Who lost which badge: what happened until ``revoked_on``, naive UTC, does not give it back, nor
#: does what datanommer had by then, up to the row ``last_number`` if that is known; with
#: ``for_good`` nothing does but an award by hand. ``person_id`` is tahrir's number.
REVOCATIONS = Table(
    "fedbadges_revocations",
    OWN,
    Column("badge_id", Text, primary_key=True),
    Column("person_id", Integer, primary_key=True, autoincrement=False),
    Column("revoked_on", DateTime, nullable=False),
    Column("last_number", BigInteger),
    Column("for_good", Boolean, nullable=False),
    Column("operator", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

#: What is lost without each table, and which rights its use takes.
_LOST = {
    OUTBOX.name: "notices of awards are lost if the daemon is killed before it publishes them",
    REVOCATIONS.name: "a badge that was revoked may come back",
}
_RIGHTS = {OUTBOX.name: ("SELECT", "INSERT", "UPDATE", "DELETE"), REVOCATIONS.name: ("SELECT",)}

#: The columns of a table, if all these rights to it are there.
_USABLE_COLUMNS = text(
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:name) AND NOT attisdropped"
    " AND (SELECT bool_and(has_table_privilege(attrelid, wanted))"
    " FROM unnest(CAST(:rights AS TEXT[])) AS wanted)"
)


class OwnTables:
    """Which of its own tables fedbadges may use; looked up once, when that is first asked.

    Raises Unavailable while the database is away.
    """

    def __init__(self, url: URL | str, prepare: bool = True) -> None:
        self.reader = reader(url, prepare)

    def has(self, table: Table) -> bool:
        """Return True if the table is there and may be used."""
        return table.name in self._usable

    @cached_property
    def may_lock_badges(self) -> bool:
        """Return True if rows of badges can be locked, which takes the right to change them."""
        with translate_errors("tahrir"), self.reader.connect() as connection:
            if connection.dialect.name != "postgresql":
                return True
            right = text("SELECT has_any_column_privilege('badges', 'UPDATE')")
            return bool(connection.scalar(right))

    def check(self) -> None:
        """Log a warning with the tables that cannot be used, and what is lost without them."""
        missing = sorted(set(_LOST) - self._usable)
        if missing:
            log.warning(
                "Tables of fedbadges are missing from tahrir's database",
                tables=missing,
                lost="; ".join(_LOST[name] for name in missing),
                setting="'badges.create_tables': True, or the statements in docs/operations.rst",
            )

    @cached_property
    def _usable(self) -> frozenset[str]:
        with translate_errors("tahrir"), self.reader.connect() as connection:
            return frozenset(
                name
                for name, rights in _RIGHTS.items()
                if _may_use(connection, OWN.tables[name], rights)
            )


def create_own_tables(made: Engine) -> None:
    """Create the tables that are missing, if that is allowed; they can be done without."""
    try:
        OWN.create_all(made)
    except exc.ProgrammingError as error:
        if not is_broken(error):
            raise
        log.debug("Cannot create tables of fedbadges", error=error)


def _may_use(connection: Connection, table: Table, rights: tuple[str, ...]) -> bool:
    """Return True if the table is there with all columns, and its use is allowed."""
    if connection.dialect.name == "postgresql":
        asked = {"name": table.name, "rights": list(rights)}
        columns = set(connection.scalars(_USABLE_COLUMNS, asked))
    elif inspect(connection).has_table(table.name):
        columns = {column["name"] for column in inspect(connection).get_columns(table.name)}
    else:
        return False
    return columns.issuperset(column.name for column in table.columns)
