"""Line numbers of configuration mistakes: where fedmsg's configuration files set a key."""

import ast
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fedbadges.util.text import printable


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

    Without one, return that of its mapping ``within``, or else the directory of the last file.
    """
    for path in reversed(files):
        found = _keys(path)
        # The mapping around a key begins before it, or on the same line.
        begun = (node.lineno for name, node in found if name == within)
        first = 0 if within is None else min(begun, default=math.inf)
        for name, node in found:
            if name == key and node.lineno >= first:
                return f"{printable(str(path))}:{node.lineno}:{node.col_offset + 1}"
    if within is not None:
        return locate_key(within, None, files)
    return printable(str(files[-1].parent)) if files else "/etc/fedmsg.d"


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


def _keys(path: Path) -> list[tuple[str, ast.expr | ast.keyword]]:
    """Return each key that a file sets, with its node; the last key first."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    keys = (key for node in ast.walk(tree) for key in _keys_of_node(node))
    return sorted(keys, key=lambda key: (key[1].lineno, key[1].col_offset), reverse=True)


def _keys_of_node(node: ast.AST) -> Iterator[tuple[str, ast.expr | ast.keyword]]:
    match node:
        case ast.Dict(keys=keys):
            yield from ((str(key.value), key) for key in keys if isinstance(key, ast.Constant))
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            yield from ((str(keyword.arg), keyword) for keyword in keywords)
        case ast.Subscript(slice=ast.Constant(value=name) as key):
            yield str(name), key
