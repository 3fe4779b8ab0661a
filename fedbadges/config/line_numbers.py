"""Where fedmsg's configuration files set a key, for messages that point there."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def config_files(config: Mapping[str, Any]) -> list[Path]:
    """List the files that fedmsg read, in its order: later ones override earlier ones.

    The places are those of ``fedmsg.config.load_config``.
    """
    explicit = config.get("config_filename")
    if explicit:
        return [Path(explicit)]
    folders = [Path("/etc/fedmsg.d"), Path("~/.fedmsg.d").expanduser(), Path.cwd() / "fedmsg.d"]
    if "VIRTUAL_ENV" in os.environ:
        folders.append(Path(os.environ["VIRTUAL_ENV"], "etc/fedmsg.d"))
    single = [
        Path("/etc/fedmsg-config.py"),
        Path("~/.fedmsg-config.py").expanduser(),
        Path.cwd() / "fedmsg-config.py",
    ]
    found = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    return [*found, *(path for path in single if path.is_file())]


def locate_key(key: str, within: str | None, files: list[Path]) -> str:
    """Give ``file:line:column`` of the last place that sets ``key``, or the last file's name.

    ``within`` is the key whose value is the mapping that has it, where there is one.
    """
    for path in reversed(files):
        for name, node in _keys(path):
            if name == key and (within is None or _stands_in(node, within, path)):
                return f"{path}:{node.lineno}:{node.col_offset + 1}"
    if within is not None:
        return locate_key(within, None, files)
    return str(files[-1].parent) if files else "/etc/fedmsg.d"


def _keys(path: Path) -> Iterator[tuple[str, ast.expr]]:
    """Give the keys of all literal mappings in a file, and of ``dict(key=…)``; last ones first."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return
    found: list[tuple[str, ast.expr]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            found += [
                (key.value, key)
                for key in node.keys
                if isinstance(key, ast.Constant) and isinstance(key.value, str)
            ]
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dict":
            found += [(word.arg, _at(word)) for word in node.keywords if word.arg]
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            found.append((str(node.slice.value), node.slice))
    yield from sorted(found, key=lambda item: (item[1].lineno, item[1].col_offset), reverse=True)


def _at(word: ast.keyword) -> ast.expr:
    """Give an expression that stands where the keyword does."""
    return ast.Name(id=word.arg or "", lineno=word.lineno, col_offset=word.col_offset)


def _stands_in(node: ast.expr, within: str, path: Path) -> bool:
    """Tell whether ``within`` is set before ``node``, as the mapping around it is."""
    places = [other.lineno for name, other in _keys(path) if name == within]
    return any(line <= node.lineno for line in places)
