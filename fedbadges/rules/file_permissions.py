"""File permissions of rules: rules are code, so only trusted accounts may write them.

Trusted are root, the daemon's own user, and the owner of the rule directory, to whom the
configuration gave the rules by naming it. As in OpenSSH's ``StrictModes``, nobody else may be able
to write a rule file, its directory, or a directory or link on the way there from ``/``, where
another could be put in its place.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

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
        self._known: dict[Path, tuple[Problem, ...]] = {}
        self._groups: dict[int, bool] = {}
        self._recorded: set[Problem] = set()

    @property
    def recorded(self) -> frozenset[Problem]:
        """The problems of the files that were given to ``record``."""
        return frozenset(self._recorded)

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
            self._recorded.update(self.problems(path))

    def problems(self, path: Path) -> list[Problem]:
        """Return what others can write: ``path``, the directories above it, and the way there.

        Raises OSError if that cannot be seen.
        """
        below = path.relative_to(self._directory).parts
        way = [self._directory.joinpath(*below[:depth]) for depth in range(len(below) + 1)]
        return list(dict.fromkeys(problem for each in way for problem in self._check(each)))

    def _check(self, path: Path) -> tuple[Problem, ...]:
        if path not in self._known:
            *way, last = _steps(path)
            found = [self._problem(*step, on_the_way=True) for step in way]
            found.append(self._problem(*last, on_the_way=False))
            self._known[path] = tuple(problem for problem in found if problem is not None)
        return self._known[path]

    def _problem(self, path: Path, status: os.stat_result, *, on_the_way: bool) -> Problem | None:
        writers, remedies, classes = [], [], ""
        if status.st_uid not in self._trusted:
            writers.append(f"its owner {_user(status.st_uid)}")
            remedies.append("chown --no-dereference root")
        # In a sticky directory, such as /tmp, people can remove and replace only what is theirs.
        sticky = on_the_way and status.st_mode & stat.S_ISVTX
        if not (stat.S_ISLNK(status.st_mode) or sticky):
            by_group = self._writers_by_group(path, status)
            by_others = ["others"] if status.st_mode & stat.S_IWOTH else []
            writers += by_group + by_others
            classes = "g" * bool(by_group) + "o" * bool(by_others)
        if classes:
            remedies.append(f"chmod {classes}-w")
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
        if self._is_trusted_group(status.st_gid):
            return []
        return [f"the group {_group(status.st_gid)}"]

    def _is_trusted_group(self, number: int) -> bool:
        if number not in self._groups:
            self._groups[number] = number == _ROOT or self._is_private(number)
        return self._groups[number]

    def _is_private(self, number: int) -> bool:
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


def _user(number: int) -> str:
    try:
        return f"'{pwd.getpwuid(number).pw_name}'"
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return f"'{grp.getgrgid(number).gr_name}'"
    except KeyError:
        return str(number)
