"""Line numbers of configuration mistakes: where the configuration files set a key."""

import ast
import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from fedbadges.config.toml_files import find_at_top, find_in_list, is_toml, keys_of_toml
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


def locate_entry(key: str, within: str, number: int, files: list[Path]) -> str:
    """Return ``file:line:column`` of a key in one of the mappings that the list ``within`` has.

    ``number`` counts them from 0. Without the key return the place of the mapping, or else of the
    list.
    """
    find = partial(_find_entry, key=key, within=within, number=number)
    return _locate(find, files) or locate_key(within, None, files)


def locate_at_top(key: str, files: list[Path]) -> str:
    """Return ``file:line:column`` of a key that is in no table of a TOML file but ours."""
    return _locate(lambda text, path: find_at_top(text, key), files) or locate_key(key, None, files)


def _locate(find: Callable[[str, Path], tuple[int, int] | None], files: list[Path]) -> str | None:
    """Return the place that is found in the last file that has one."""
    for path in reversed(files):
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            found = find(path.read_text(encoding="utf-8"), path)
            if found is not None:
                return f"{printable(str(path))}:{found[0]}:{found[1]}"
    return None


def _find_entry(
    text: str, path: Path, key: str, within: str, number: int
) -> tuple[int, int] | None:
    if is_toml(path):
        return find_in_list(text, within, number, key)
    return _find_in_python(text, within, number, key)


def _find_in_python(text: str, within: str, number: int, key: str) -> tuple[int, int] | None:
    for node in ast.walk(ast.parse(text)):
        for name, value in _items_of_node(node):
            if name != within or not isinstance(value, (ast.List, ast.Tuple)):
                continue
            for entry in value.elts[number : number + 1]:
                keys = dict(_keys_of_node(entry))
                found = keys.get(key, entry)
                return found.lineno, found.col_offset + 1
    return None


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


def _items_of_node(node: ast.AST) -> Iterator[tuple[object, ast.expr]]:
    match node:
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            yield from ((key.value, each) for key, each in pairs if isinstance(key, ast.Constant))
        case ast.Assign(targets=[ast.Subscript(slice=ast.Constant(value=name))], value=value):
            yield name, value
