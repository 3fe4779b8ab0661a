"""Statements that are asked again and again, planned by PostgreSQL once rather than every time.

To plan a statement takes PostgreSQL several times as long as to answer it where an index leads to
the few rows that are asked for.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    Connection,
    CursorResult,
    Dialect,
    Select,
    String,
    bindparam,
    exc,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import TextualSelect
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

log = logging.getLogger(__name__)

_numbers = itertools.count(1)

#: Spells parameters as PREPARE has them: $1, $2, …
_DIALECT: Dialect = postgresql.psycopg2.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

#: PostgreSQL's codes for a name that it does not know, and for one that it knows already. Both mean
#: that something on the way gives every statement another connection.
_CONFUSED = ("26000", "42P05")

#: Where a connection of SQLAlchemy's keeps which statements it has planned.
_PLANNED = "fedbadges_planned"


class PreparedStatement:
    """A statement without lists of varying length: see ``one_of``."""

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        self._name = f"fedbadges_{next(_numbers)}"

    def ask(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Execute it; ``connection`` must not be in a transaction that an error would end."""
        planned: set[str] | None = connection.info.get(_PLANNED)
        if planned is None:
            return connection.execute(self.statement, dict(parameters))
        try:
            if self._name not in planned:
                connection.exec_driver_sql(f"PREPARE {self._name} AS {self._text}")
                planned.add(self._name)
            return connection.execute(self._call, dict(parameters))
        except exc.DBAPIError as error:
            if getattr(error.orig, "pgcode", None) not in _CONFUSED:
                raise
        log.warning(
            "Planned statements do not reach the same connection again, as behind pgbouncer; set"
            " 'badges.prepare_statements': False. Going on without, for this connection."
        )
        del connection.info[_PLANNED]
        return connection.execute(self.statement, dict(parameters))

    @cached_property
    def _compiled(self) -> Any:
        return self.statement.compile(dialect=_DIALECT)

    @cached_property
    def _text(self) -> str:
        return str(self._compiled)

    @cached_property
    def _call(self) -> TextualSelect:
        values = ", ".join(f":{name}" for name in self._compiled.positiontup)
        # With the columns, so that their values are read as those of the statement itself are.
        return text(f"EXECUTE {self._name}({values})").columns(*self.statement.selected_columns)


def keep_plans(connection: Any, record: Any) -> None:
    """Have a new connection to PostgreSQL keep its plans; a listener for SQLAlchemy's ``connect``.

    Without being told, PostgreSQL would plan anew: it takes the plan for any values to be bad,
    because it does not know that hardly anything was sent after the moment that is asked about.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
    record.info[_PLANNED] = set()


class _Values(TypeDecorator[Any]):
    """A list of values, in one parameter."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return value if dialect.name == "postgresql" else json.dumps(value)


class is_any_of(FunctionElement[bool]):  # noqa: N801 - SQLAlchemy's functions are written so
    """``one_of(column, bindparam)``: the column has one of the values, however many there are."""

    type = Boolean()
    inherit_cache = True
    name = "one_of"
    #: Else SQLite would get ``… = 1``, for which no index serves.
    _is_implicitly_boolean = True


def array_parameter(name: str) -> BindParameter[Any]:
    """Give the parameter for ``one_of``, which takes a list."""
    return bindparam(name, type_=_Values())


@compiles(is_any_of, "postgresql")
def _on_postgresql(element: is_any_of, compiler: Any, **options: Any) -> str:
    column, texts = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} = ANY ({texts})"


@compiles(is_any_of, "sqlite")
def _on_sqlite(element: is_any_of, compiler: Any, **options: Any) -> str:
    column, texts = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608 - SQLAlchemy's own
