"""Finding rule files and their tests in a directory, below it, and behind links there."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

_ENDINGS = (".yml", ".yaml")

#: A rule's file name with this appended is the file of the rule's tests. No rule file ends like
#: this, so that tests can be beside the rules that a daemon runs.
TEST = ".test"
_TEST_ENDINGS = tuple(ending + TEST for ending in _ENDINGS)

#: Called with the error for each path that cannot be read, which is the error's ``filename``.
OnError = Callable[[OSError], None]


def rule_files(directory: Path, on_error: OnError | None = None) -> Iterator[Path]:
    """Find the ``.yml`` and ``.yaml`` files below ``directory``, but for hidden ones.

    ``on_error`` is called for every directory that cannot be read, and for every other link that
    leads nowhere, since that may have been a link to a directory.
    """
    return _files(directory, _ENDINGS, on_error)


def files_of_tests(directory: Path, on_error: OnError | None = None) -> Iterator[Path]:
    """Find the tests of rules, ``.yml.test`` and ``.yaml.test``, in the same way."""
    return _files(directory, _TEST_ENDINGS, on_error)


def rule_paths(directory: Path) -> Iterator[Path]:
    """Find ``directory``, the directories below it, and the rule files in each."""
    for folder, names in _walk(directory):
        yield folder
        yield from (folder / name for name in names if name.endswith(_ENDINGS))


def _files(directory: Path, endings: tuple[str, ...], on_error: OnError | None) -> Iterator[Path]:
    for folder, names in _walk(directory, on_error):
        for name in names:
            path = folder / name
            if name.endswith(endings):
                yield path
            elif on_error is not None and path.is_symlink():
                try:
                    path.stat()
                except OSError as error:
                    on_error(error)


def _walk(directory: Path, on_error: OnError | None = None) -> Iterator[tuple[Path, list[str]]]:
    """Yield every directory with the names of the files in it, in the order of their paths.

    A directory that several paths lead to is visited once, so a link in a circle does no harm.
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
