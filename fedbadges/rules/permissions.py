"""Rules are code: whether only those can write them who may have the daemon run anything.

Those are root, the daemon's own user, and the owner of the rule directory, to whom the
configuration gave the rules by naming it. As in OpenSSH's ``StrictModes``, nobody else may be able
to write a rule file, its directory, or a directory or link on the way there from ``/``, where
another could be put in its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from fedbadges.errors import Place, Problem, RuleError
from fedbadges.rules.loader import unreadable
from fedbadges.rules.writers import Writers

#: As many links as Linux follows on one way.
_MOST_LINKS = 40


class PermissionChecker:
    """Looks who can write the rule files below ``directory``.

    Every file and directory is looked at once, so for another look it takes another of these.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        trusted = [os.geteuid()]
        with contextlib.suppress(OSError):  # gone: then there are no rules either
            trusted.append(directory.stat().st_uid)
        self._writers = Writers(trusted)
        self._known: dict[Path, tuple[Problem, ...]] = {}
        self._noted: set[Problem] = set()

    @property
    def noted(self) -> frozenset[Problem]:
        """What was wrong with the files that went to ``note``."""
        return frozenset(self._noted)

    def vet(self, path: Path) -> None:
        """Raise RuleError if others can write the rule file at ``path``, or put another there."""
        try:
            found = self.problems(path)
        except OSError as error:
            raise RuleError([unreadable(path, error)]) from None
        if found:
            raise RuleError(found)

    def note(self, path: Path) -> None:
        """Take note of what ``vet`` would raise."""
        with contextlib.suppress(OSError):  # said by who reads it
            self._noted.update(self.problems(path))

    def problems(self, path: Path) -> list[Problem]:
        """Say what others can write of the rule directory, or a path below, and the way there.

        Raises OSError where that cannot be seen.
        """
        below = path.relative_to(self._directory).parts
        way = [self._directory.joinpath(*below[:depth]) for depth in range(len(below) + 1)]
        return list(dict.fromkeys(problem for each in way for problem in self._look(each)))

    def _look(self, path: Path) -> tuple[Problem, ...]:
        """Look at what is at a path, and all that it takes to get there."""
        if path not in self._known:
            *way, there = _steps(path)
            found = [self._problem(*step, sticky=True) for step in way]
            found.append(self._problem(*there, sticky=False))
            self._known[path] = tuple(problem for problem in found if problem is not None)
        return self._known[path]

    def _problem(self, path: Path, status: os.stat_result, *, sticky: bool) -> Problem | None:
        mistake = self._writers.mistake(path, status, sticky=sticky)
        return None if mistake is None else Problem(Place(str(path), 1, 1), mistake)


def mistakes(directory: Path) -> list[str]:
    """Give a line for each thing for which the rules in ``directory`` cannot be trusted."""
    try:
        return [
            f"{each.place.path}: {each.text}"
            for each in PermissionChecker(directory).problems(directory)
        ]
    except OSError as error:
        return [f"{directory}: cannot see who can write it: {error.strerror or error}"]


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Give each directory and link from ``/`` to what a path leads to, and that last of all.

    Each comes with what ``lstat`` gives of it. Raises OSError where the path leads nowhere.
    """
    here, links = Path("/"), 0
    yield here, here.lstat()
    ahead = list(reversed(path.absolute().parts[1:]))
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        yield step, step.lstat()
        if not step.is_symlink():
            here = step
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = step.readlink()
        here = Path("/") if target.is_absolute() else here
        ahead += reversed(target.parts[target.is_absolute() :])
    yield here, here.lstat()
