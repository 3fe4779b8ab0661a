"""Where rule files and their tests lie: in a directory, below it, and where links there lead to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

_ENDINGS = (".yml", ".yaml")

#: What a rule's file is called with this behind it has the rule's tests. No rule is called so, so
#: that tests can lie beside the rules that a daemon runs.
TEST = ".test"
_TEST_ENDINGS = tuple(ending + TEST for ending in _ENDINGS)

#: Is told of what cannot be read; the error's ``filename`` says what.
OnError = Callable[[OSError], None]


def rule_files(directory: Path, on_error: OnError | None = None) -> Iterator[Path]:
    """Find the ``.yml`` and ``.yaml`` files below ``directory``; hidden ones are left out.

    ``on_error`` is told of every directory that cannot be read, and of every other link that leads
    nowhere, since that may have been one to a directory.
    """
    return _files(directory, _ENDINGS, on_error)


def files_of_tests(directory: Path, on_error: OnError | None = None) -> Iterator[Path]:
    """Find the tests of rules, ``.yml.test`` and ``.yaml.test``, in the same way."""
    return _files(directory, _TEST_ENDINGS, on_error)


def linked_folders(directory: Path) -> Iterator[Path]:
    """Find the links, below ``directory`` and itself, by which directories of rules are reached."""
    return (folder for folder, _ in _walk(directory) if folder.is_symlink())


def _files(directory: Path, endings: tuple[str, ...], on_error: OnError | None) -> Iterator[Path]:
    for folder, names in _walk(directory, on_error):
        for name in names:
            if name.endswith(endings):
                yield folder / name
            elif on_error is not None:
                _check(folder / name, on_error)


def _walk(directory: Path, on_error: OnError | None = None) -> Iterator[tuple[Path, list[str]]]:
    """Give every directory with the names in it that are none, in the order of their paths.

    What several paths lead to is visited by the first of them, so a link that leads back ends.
    """
    visited: set[str] = set()
    for folder, folders, names in os.walk(directory, onerror=on_error, followlinks=True):
        actual = os.path.realpath(folder)
        if actual in visited:
            folders.clear()
            continue
        visited.add(actual)
        folders[:] = _seen(folders)
        yield Path(folder), _seen(names)


def _seen(names: list[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("."))


def _check(path: Path, on_error: OnError) -> None:
    if not path.is_symlink():
        return
    try:
        path.stat()
    except OSError as error:
        on_error(error)
