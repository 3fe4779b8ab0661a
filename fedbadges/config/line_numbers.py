"""Line numbers of configuration mistakes: where the configuration files set a key."""

import ast
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fedbadges.config.toml_files import is_toml, keys_of_toml
from fedbadges.util.text import printable


class _Key(NamedTuple):
    """A key that a file sets, and where; line and column count from 1."""

    name: str
    line: int
    column: int


def config_files(config: Mapping[str, Any]) -> list[Path]:
    """Return the files that ``fedmsg.config`` reads; later ones override earlier ones."""
    explicit = config.get("config_filename")
    if explicit:
        return [Path(explicit)]
    prefixes = ["/etc/", f"{Path.home()}/.", f"{Path.cwd()}/"]
    folders = [Path(f"{prefix}fedmsg.d") for prefix in prefixes]
    if "VIRTUAL_ENV" in os.environ:
        folders.append(Path(os.environ["VIRTUAL_ENV"], "etc/fedmsg.d"))
    single = [Path(f"{prefix}fedmsg-config.py") for prefix in prefixes]
    found = [path for folder in folders for path in _scripts_in(folder)]
    return [*found, *(path for path in single if _is_file(path))]


def locate_key(key: str, within: str | None, files: list[Path]) -> str:
    """Return ``file:line:column`` of the last place that sets ``key``.

    Without one, return that of its mapping ``within``, or else where another file would be read:
    the directory of the last one. A TOML file is the only one.
    """
    for path in reversed(files):
        found = _keys(path)
        # The mapping around a key begins before it, or on the same line.
        begun = (each.line for each in found if each.name == within)
        first = 0 if within is None else min(begun, default=math.inf)
        for each in found:
            if each.name == key and each.line >= first:
                return f"{printable(str(path))}:{each.line}:{each.column}"
    if within is not None:
        return locate_key(within, None, files)
    if not files:
        return "/etc/fedmsg.d"
    return printable(str(files[-1] if is_toml(files[-1]) else files[-1].parent))


def _scripts_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(".py"))
    except OSError:  # none, or with sudo that of another user
        return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _keys(path: Path) -> list[_Key]:
    """Return each key that a file sets; the last key first."""
    try:
        text = path.read_text(encoding="utf-8")
        keys = _toml_keys(text) if is_toml(path) else _python_keys(text)
        return sorted(keys, key=lambda key: (key.line, key.column), reverse=True)
    except (OSError, SyntaxError, ValueError):
        return []


def _toml_keys(text: str) -> Iterator[_Key]:
    """Yield each key and table under each name that it has in some table, where it begins."""
    begun: set[tuple[str, ...]] = set()
    for path, line, column in keys_of_toml(text):
        for end in range(1, len(path) + 1):
            if path[:end] not in begun:
                begun.add(path[:end])
                for start in range(end):
                    yield _Key(".".join(path[start:end]), line, column)


def _python_keys(text: str) -> Iterator[_Key]:
    for node in ast.walk(ast.parse(text)):
        for name, key in _keys_of_node(node):
            yield _Key(name, key.lineno, key.col_offset + 1)


def _keys_of_node(node: ast.AST) -> Iterator[tuple[str, ast.expr | ast.keyword]]:
    match node:
        case ast.Dict(keys=keys):
            yield from ((str(key.value), key) for key in keys if isinstance(key, ast.Constant))
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            yield from ((str(keyword.arg), keyword) for keyword in keywords)
        case ast.Subscript(slice=ast.Constant(value=name) as key):
            yield str(name), key
