"""File permissions of rules: rules are code, so only trusted accounts may write them.

Trusted are root, the daemon's own user, and the owner of the rule directory, to whom the
configuration gave the rules by naming it. As in OpenSSH's ``StrictModes``, nobody else may be able
to write a rule file, its directory, or a directory or link on the way there from ``/``, where
another could be put in its place.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import grp
import os
import pwd
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fedbadges.errors import Place, Problem, RuleError
from fedbadges.rules.loader import unreadable
from fedbadges.util.text import printable

_ROOT = 0

#: As many links as Linux follows on one way.
_MAX_LINKS = 40

_ACL = "system.posix_acl_access"


class PermissionChecker:
    """Checks who can write the rule files below ``directory``.

    Results are cached for the life of the object; create another one to look again.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._trusted = {_ROOT, os.geteuid()}
        with contextlib.suppress(OSError):  # no directory, no rules
            self._trusted.add(directory.stat().st_uid)
        self._check = functools.cache(self._find)
        self._is_private = functools.cache(self._find_private)
        #: The problems of the files that were given to ``record``.
        self.recorded: set[Problem] = set()

    def check(self, path: Path) -> None:
        """Raise RuleError if others can write the rule file at ``path`` or replace it."""
        try:
            found = self.problems(path)
        except OSError as error:
            raise RuleError([unreadable(path, error)]) from None
        if found:
            raise RuleError(found)

    def record(self, path: Path) -> None:
        """Record the problems for which ``check`` would raise RuleError."""
        with contextlib.suppress(OSError):  # whoever reads the file reports this
            self.recorded.update(self.problems(path))

    def problems(self, path: Path) -> list[Problem]:
        """Return what others can write: ``path``, the directories above it, and the way there.

        Raises OSError if that cannot be seen.
        """
        below = path.relative_to(self._directory).parts
        way = [self._directory.joinpath(*below[:depth]) for depth in range(len(below) + 1)]
        return list(dict.fromkeys(problem for each in way for problem in self._check(each)))

    def _find(self, path: Path) -> tuple[Problem, ...]:
        *way, last = _steps(path)
        found = [self._problem(*step, on_the_way=True) for step in way]
        found.append(self._problem(*last, on_the_way=False))
        return tuple(problem for problem in found if problem is not None)

    def _problem(self, path: Path, status: os.stat_result, *, on_the_way: bool) -> Problem | None:
        writers, remedies = [], []
        if status.st_uid not in self._trusted:
            writers.append(f"its owner {_name(status.st_uid, pwd.getpwuid)}")
            remedies.append("chown --no-dereference root")
        # In a sticky directory, such as /tmp, people can remove and replace only what is theirs.
        sticky = on_the_way and status.st_mode & stat.S_ISVTX
        if not (stat.S_ISLNK(status.st_mode) or sticky):
            by_group = self._writers_by_group(path, status)
            by_others = ["others"] if status.st_mode & stat.S_IWOTH else []
            writers += by_group + by_others
            if by_group or by_others:
                remedies.append(f"chmod {'g' * bool(by_group)}{'o' * bool(by_others)}-w")
        if not writers:
            return None
        quoted_path = shlex.quote(printable(str(path)))
        *first, last = writers
        who = f"{', '.join(first)} and {last}" if first else last
        remedy = " && ".join(f"{command} {quoted_path}" for command in remedies)
        return Problem(Place(str(path), 1, 1), f"{who} can write it; {remedy}")

    def _writers_by_group(self, path: Path, status: os.stat_result) -> list[str]:
        if not status.st_mode & stat.S_IWGRP:
            return []
        # With an access control list, these bits are its mask: an entry may let anybody write.
        if _has_acl(path):
            return ["accounts that its access control list names"]
        if status.st_gid == _ROOT or self._is_private(status.st_gid):
            return []
        return [f"the group {_name(status.st_gid, grp.getgrgid)}"]

    def _find_private(self, number: int) -> bool:
        """Return True if a group is that of one trusted account and has no other members.

        Where every account has such a group, umask is 002, and git and editors create files that
        the group can write. As in pam_umask, the group must have the account's name, since a
        directory service need not list every account of a group.
        """
        try:
            group = grp.getgrgid(number)
        except KeyError:
            return False
        accounts = {}
        for uid in self._trusted:
            with contextlib.suppress(KeyError):
                account = pwd.getpwuid(uid)
                accounts[account.pw_name] = account.pw_gid
        if accounts.get(group.gr_name) != number:
            return False
        others = (account.pw_name for account in pwd.getpwall() if account.pw_gid == number)
        return accounts.keys() >= {*group.gr_mem, *others}


def mistakes(directory: Path) -> list[str]:
    """Return a line for each reason why the rules in ``directory`` cannot be trusted."""
    try:
        problems = PermissionChecker(directory).problems(directory)
    except OSError as error:
        return [
            f"{printable(str(directory))}: cannot see who can write it: {error.strerror or error}"
        ]
    return [f"{printable(problem.place.path)}: {problem.text}" for problem in problems]


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each directory and link from ``/`` to the target of a path, then the target itself.

    Each comes with its ``lstat``. Raises OSError if the path leads nowhere.
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
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = step.readlink()
        here = Path("/") if target.is_absolute() else here
        ahead += reversed(target.parts[target.is_absolute() :])
    yield here, here.lstat()


def _has_acl(path: Path) -> bool:
    try:
        return _ACL in os.listxattr(path)
    except (OSError, AttributeError):  # not on this file system, not on this platform
        return False


def _name(number: int, look_up: Callable[[int], Sequence[Any]]) -> str:
    try:
        return f"'{look_up(number)[0]}'"
    except KeyError:
        return str(number)
