"""File permissions of rules: rules are code, so only trusted accounts may write them.

Trusted are root, the daemon's own user, and the owner of the rule directory, to whom the
configuration gave the rules by naming it. As in OpenSSH's ``StrictModes``, nobody else may be able
to write a rule file, its directory, or a directory or link on the way there from ``/``, where
another could be put in its place.
"""

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


class PermissionChecker:
    """Checks who can write the rule files below ``directory``; the results stay for its life."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._trusted = {_ROOT, os.geteuid()}
        with contextlib.suppress(OSError):  # no directory, no rules
            self._trusted.add(directory.stat().st_uid)
        self._check = functools.cache(self._find)
        # Files have nearly all of their way in common.
        self._on_the_way = functools.cache(functools.partial(self._problem, on_the_way=True))
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
        """Return what others can write of ``path`` and the way to it; raise OSError."""
        return list(self._check(path)[0])

    def _find(self, path: Path) -> tuple[tuple[Problem, ...], Path]:
        """Return what others can write of ``path`` and the way to it, and where it leads."""
        above: tuple[Problem, ...] = ()
        parent = None
        if path != self._directory:
            above, parent = self._check(path.parent)
            if self._is_private_file(path):  # as most are
                return above, path
        *way, last = _steps(path, parent)
        found = [self._on_the_way(each) for each in way]
        found.append(self._problem(last, on_the_way=False))
        return tuple(dict.fromkeys((*above, *filter(None, found)))), last

    def _is_private_file(self, path: Path) -> bool:
        """Return True for a file, no link, that only a trusted account can write."""
        status = path.lstat()
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return stat.S_ISREG(status.st_mode) and status.st_uid in self._trusted and not others

    def _problem(self, path: Path, *, on_the_way: bool) -> Problem | None:
        status = path.lstat()
        writers, remedies = [], []
        if status.st_uid not in self._trusted:
            writers.append(f"its owner {_name(status.st_uid, pwd.getpwuid)}")
            remedies.append("chown --no-dereference root")
        # In a sticky directory, such as /tmp, people can remove and replace only what is theirs.
        sticky = on_the_way and status.st_mode & stat.S_ISVTX
        if not (stat.S_ISLNK(status.st_mode) or sticky):
            group = self._writing_group(path, status)
            others = "others" if status.st_mode & stat.S_IWOTH else ""
            writers += filter(None, (group, others))
            if group or others:
                remedies.append(f"chmod {'g' * bool(group)}{'o' * bool(others)}-w")
        if not writers:
            return None
        quoted_path = shlex.quote(printable(str(path)))
        who = " and ".join(filter(None, (", ".join(writers[:-1]), writers[-1])))
        remedy = " && ".join(f"{command} {quoted_path}" for command in remedies)
        return Problem(Place(str(path), 1, 1), f"{who} can write it; {remedy}")

    def _writing_group(self, path: Path, status: os.stat_result) -> str:
        """Return who else can write as the group; nothing if that is nobody."""
        if not status.st_mode & stat.S_IWGRP:
            return ""
        # With an access control list, these bits are its mask: an entry may let anybody write.
        with contextlib.suppress(OSError, AttributeError):  # no such lists here
            if "system.posix_acl_access" in os.listxattr(path):
                return "accounts that its access control list names"
        if status.st_gid == _ROOT or self._is_private(status.st_gid):
            return ""
        return f"the group {_name(status.st_gid, grp.getgrgid)}"

    def _find_private(self, number: int) -> bool:
        """Return True if a group is that of one trusted account and has no other members.

        Where every account has such a group, umask is 002, and git and editors create files that
        the group can write. As in pam_umask, the group must have the account's name, since a
        directory service need not list every account of a group.
        """
        accounts = {}
        for uid in self._trusted:
            with contextlib.suppress(KeyError):
                account = pwd.getpwuid(uid)
                accounts[account.pw_name] = account.pw_gid
        with contextlib.suppress(KeyError):
            group = grp.getgrgid(number)
            if accounts.get(group.gr_name) == number:
                others = (each.pw_name for each in pwd.getpwall() if each.pw_gid == number)
                return accounts.keys() >= {*group.gr_mem, *others}
        return False


def mistakes(directory: Path) -> list[str]:
    """Return a line for each reason why the rules in ``directory`` cannot be trusted."""
    try:
        problems = PermissionChecker(directory).problems(directory)
    except OSError as error:
        reason = f"cannot see who can write it: {error.strerror or error}"
        return [f"{printable(str(directory))}: {reason}"]
    return [f"{printable(problem.place.path)}: {problem.text}" for problem in problems]


def _steps(path: Path, parent: Path | None = None) -> Iterator[Path]:
    """Yield each directory and link from ``/`` to the target of a path, then the target itself.

    With ``parent``, where the directory of the path leads, the way to that is left out.
    """
    here, links = parent or Path("/"), 0
    if parent is None:
        yield here
    ahead = [path.name] if parent else list(reversed(path.absolute().parts[1:]))
    while ahead:
        name = ahead.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        if not step.is_symlink():
            here = step
            if ahead:
                yield step
            continue
        yield step
        links += 1
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = step.readlink()
        here = Path("/") if target.is_absolute() else here
        ahead += reversed(target.parts[target.is_absolute() :])
    yield here


def _name(number: int, look_up: Callable[[int], Sequence[Any]]) -> str:
    try:
        return f"'{look_up(number)[0]}'"
    except KeyError:
        return str(number)
