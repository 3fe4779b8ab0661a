"""Tables of awards, as CSV: what each cell contains, and at which place."""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import click

from fedbadges.cli.errors import CannotRun
from fedbadges.errors import Place
from fedbadges.util.text import join_quoted, quoted, suggestion

#: The columns; in a line without a value for one of the first three there is nothing to award.
COLUMNS = ("user", "badge", "reason", "link", "when")
REQUIRED = COLUMNS[:3]

#: What spreadsheets write between two cells.
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Cell:
    """The value for a column; without a ``place`` it is of the command line."""

    text: str | None
    place: Place | None = None


#: A line of a table: a cell for each column.
Row = Mapping[str, Cell]


class TableFile(click.File):
    """A file with a table, or standard input, which may be closed."""

    def __init__(self) -> None:
        super().__init__("rb")

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> BinaryIO:
        """Open the file; raise BadParameter if that fails."""
        if value == "-" and sys.stdin is None:
            self.fail("standard input is closed", param, ctx)
        return cast(BinaryIO, super().convert(value, param, ctx))


class Mistakes:
    """What is wrong with a table or the command line, each once, in the order of the table."""

    def __init__(self) -> None:
        self._found: dict[tuple[Place | None, str], None] = {}

    def add(self, place: Place | None, text: str) -> None:
        """Add a mistake at a place of a table, or without one on the command line."""
        self._found[place, text] = None

    def check(self) -> None:
        """Raise CannotRun with all mistakes, if there are any."""
        if self._found:
            found = sorted(self._found, key=lambda each: (each[0] is not None, each[0]))
            raise CannotRun(*(f"{place}: {text}" if place else text for place, text in found))


def read_table(file: BinaryIO, defaults: Mapping[str, str | None], mistakes: Mistakes) -> list[Row]:
    """Read a table, with a default for what a column lacks; raise CannotRun if it has no lines."""
    path = str(getattr(file, "name", "<stdin>"))
    try:
        data = file.read()
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror}") from error
    text = _decode(path, data.removeprefix(codecs.BOM_UTF8))
    records = _records(path, text, mistakes)
    columns = _read_header(next(records, ([], [])), path, defaults, mistakes)
    rows: list[Row] = []
    for cells, places in records:
        for place in places[len(columns) :]:
            mistakes.add(place, f"there are only {len(columns)} columns")
        found = {name: Cell(None, places[0]) for name in COLUMNS}
        for name, cell, place in zip(columns, cells, places, strict=False):
            found[name] = Cell(cell.strip() or None, place)
        for name, default in defaults.items():
            if found[name].text is None and default is not None:
                found[name] = Cell(default)
        rows.append(found)
    if not rows:
        mistakes.check()
        raise CannotRun(f"{path}: nobody is listed below the header")
    return rows


def _decode(path: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().split("\n")
        place = Place(path, len(before), len(before[-1]) + 1)
        raise CannotRun(f"{place}: the table is not in UTF-8") from None


def _records(path: str, text: str, mistakes: Mistakes) -> Iterator[tuple[list[str], list[Place]]]:
    """Yield the cells of each line that is not blank, with their places."""
    lines = list(io.StringIO(text, newline=""))
    delimiter = next((each for each in _DELIMITERS if lines and each in lines[0]), ",")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    end = 0
    try:
        for cells in reader:
            start, end = end, reader.line_num
            if any(map(str.strip, cells)):
                yield cells, list(_places(path, lines[start:end], start + 1, delimiter))
    except csv.Error as error:
        mistakes.add(Place(path, end + 1, 1), f"not CSV: {error}")


def _places(path: str, lines: list[str], first: int, delimiter: str) -> Iterator[Place]:
    """Yield the place of each cell in the lines of a record; a quoted cell may have several."""
    begins, quoted_cell, inside = True, False, False
    for number, line in enumerate(lines, first):
        for column, letter in enumerate(f"{line} ", 1):
            if begins:
                yield Place(path, number, column)
                begins, inside = letter == delimiter, letter == '"'
                quoted_cell = inside
            elif letter == '"' and quoted_cell:
                inside = not inside
            elif letter == delimiter and not inside:
                begins = True


def _read_header(
    record: tuple[list[str], list[Place]],
    path: str,
    defaults: Mapping[str, str | None],
    mistakes: Mistakes,
) -> list[str]:
    """Return the names of the columns; raise CannotRun if they are not those of a table."""
    names = [name.strip().lower() for name in record[0]]
    for number, (name, place) in enumerate(zip(names, record[1], strict=False)):
        if name not in COLUMNS:
            mistakes.add(place, f"no column is called {quoted(name)}{suggestion(name, COLUMNS)}")
        elif name in names[:number]:
            mistakes.add(place, f"there are two columns {quoted(name)}")
    missing = [name for name in REQUIRED if name not in names and defaults.get(name) is None]
    if missing:
        mistakes.add(Place(path, 1, 1), f"the first line names no column {join_quoted(missing)}")
    mistakes.check()
    return names
