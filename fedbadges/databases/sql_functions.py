"""SQL functions that each database writes in its own way."""

from typing import Any

from sqlalchemy import Boolean
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine


def dialect_function(
    result: TypeEngine[Any], *, postgresql: str, sqlite: str
) -> type[FunctionElement[Any]]:
    """Return a SQL function; in the text for each database, ``{}`` stands for an argument."""

    class Function(FunctionElement[Any]):
        inherit_cache = True
        type = result
        #: Else SQLite would get ``… = 1``, for which no index serves.
        _is_implicitly_boolean = isinstance(result, Boolean)

    for dialect, text in (("postgresql", postgresql), ("sqlite", sqlite)):

        @compiles(Function, dialect)
        def compile_(element: Function, compiler: Any, *, _text: str = text, **options: Any) -> str:
            return _text.format(*(compiler.process(each, **options) for each in element.clauses))

    return Function
