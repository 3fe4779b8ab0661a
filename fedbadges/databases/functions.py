"""SQL functions that each database writes in its own way."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine


def dialect_function(
    result: TypeEngine[Any], *, postgresql: str, sqlite: str
) -> type[FunctionElement[Any]]:
    """Return a SQL function; in the texts for each database ``{}`` stands for its argument."""

    class Function(FunctionElement[Any]):
        inherit_cache = True
        type = result

    def compile_as(text: str) -> Any:
        return lambda element, compiler, **options: text.format(
            compiler.process(element.clauses, **options)
        )

    compiles(Function, "postgresql")(compile_as(postgresql))
    compiles(Function, "sqlite")(compile_as(sqlite))
    return Function
