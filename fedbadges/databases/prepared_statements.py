"""Prepared statements, which PostgreSQL plans once for each connection, and what is in them.

Planning takes PostgreSQL several times as long as executing, where an index leads to a few rows.
"""

import itertools
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import TextualSelect
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from fedbadges.util.logs import get_logger

log = get_logger(__name__)

_numbers = itertools.count(1)

#: Writes parameters as PREPARE expects them: $1, $2, …
_DIALECT: sa.Dialect = postgresql.psycopg2.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

#: PostgreSQL's codes for a statement's name that it does not know, or that is taken: a connection
#: pooler, such as pgbouncer, sends statements to different servers' connections.
_POOLED = ("26000", "42P05")

#: The key of Connection.info for the names of the statements that the connection has prepared.
_PREPARED = "fedbadges_prepared"


class PreparedStatement:
    """A statement that is executed often; for lists of any length, see ``is_any_of``."""

    def __init__(self, statement: sa.Select[Any]) -> None:
        self.statement = statement
        self._name = f"fedbadges_{next(_numbers)}"

    def execute(
        self, connection: sa.Connection, parameters: Mapping[str, Any]
    ) -> sa.CursorResult[Any]:
        """Execute it; ``connection`` must not be in a transaction that an error would end."""
        prepared: set[str] | None = connection.info.get(_PREPARED)
        if prepared is None:
            return connection.execute(self.statement, dict(parameters))
        try:
            if self._name not in prepared:
                connection.exec_driver_sql(f"PREPARE {self._name} AS {self._compiled}")
                prepared.add(self._name)
            return connection.execute(self._call, dict(parameters))
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "pgcode", None) not in _POOLED:
                raise
        log.warning(
            "Prepared statements do not work behind a connection pooler, continuing without them",
            setting="'badges.prepare_statements': False",
        )
        del connection.info[_PREPARED]
        return connection.execute(self.statement, dict(parameters))

    @cached_property
    def _compiled(self) -> Any:
        return self.statement.compile(dialect=_DIALECT)

    @cached_property
    def _call(self) -> TextualSelect:
        values = ", ".join(f":{name}" for name in self._compiled.positiontup)
        # With the columns, so that values are converted as for the statement itself.
        return sa.text(f"EXECUTE {self._name}({values})").columns(*self.statement.selected_columns)


def enable_prepared_statements(connection: Any, pooled: Any) -> None:
    """Enable them for a new connection to PostgreSQL; listens to SQLAlchemy's ``connect``.

    By itself PostgreSQL would not reuse a plan: it does not know that hardly any message was sent
    after the time that is a parameter, and takes the plan to be a bad one.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
    pooled.info[_PREPARED] = set()


def dialect_function(
    result: TypeEngine[Any], *, postgresql: str, sqlite: str
) -> type[FunctionElement[Any]]:
    """Return a SQL function; in the text for each database, ``{}`` stands for an argument."""

    class Function(FunctionElement[Any]):
        inherit_cache = True
        type = result
        #: Else SQLite would get ``… = 1``, for which no index serves.
        _is_implicitly_boolean = isinstance(result, sa.Boolean)

    for dialect, sql in (("postgresql", postgresql), ("sqlite", sqlite)):

        @compiles(Function, dialect)
        def compile_(element: Function, compiler: Any, *, _sql: str = sql, **options: Any) -> str:
            return _sql.format(*(compiler.process(each, **options) for each in element.clauses))

    return Function


class _Values(TypeDecorator[Any]):
    """A list of values, in one parameter."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return value if dialect.name == "postgresql" else json.dumps(value)


#: ``is_any_of(column, array_parameter(name))``: the column has any of a list of values.
is_any_of = dialect_function(
    sa.Boolean(), postgresql="{} = ANY ({})", sqlite="{} IN (SELECT value FROM json_each({}))"
)


def array_parameter(name: str) -> sa.BindParameter[Any]:
    """Return the parameter of ``is_any_of``, which takes a list."""
    return sa.bindparam(name, type_=_Values())
