"""Who can write a file or directory, apart from those who are trusted to."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shlex
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fedbadges.util.text import printable

ROOT = 0

#: A POSIX access control list, as Linux keeps it beside a file: a version, then entries of tag,
#: permissions and id. From linux/posix_acl_xattr.h and linux/posix_acl.h.
_ACL = "system.posix_acl_access"
_ACL_VERSION_BYTES = 4
_ACL_ENTRY = "<HHI"
_ACL_USER, _ACL_OWNING_GROUP, _ACL_GROUP = 0x02, 0x04, 0x08
_WRITE = 2


class Writers:
    """Knows the accounts, by their numbers, that may write; root is always one of them."""

    def __init__(self, trusted: Iterable[int]) -> None:
        self._trusted = frozenset([ROOT, *trusted])
        self._groups: dict[int, bool] = {}

    def mistake(self, path: Path, status: os.stat_result, *, sticky: bool = False) -> str | None:
        """Tell who else can write what ``lstat`` gave ``status`` of, and what mends that.

        With ``sticky``, it does not matter who can add to a directory in which everybody can remove
        only what is theirs, as in /tmp.
        """
        writers, remedies = [], []
        if status.st_uid not in self._trusted:
            writers.append(f"its owner {_user(status.st_uid)}")
            remedies.append("chown --no-dereference root")
        if not (stat.S_ISLNK(status.st_mode) or (sticky and status.st_mode & stat.S_ISVTX)):
            by_group = list(self._by_group(path, status))
            by_others = ["others"] if status.st_mode & stat.S_IWOTH else []
            writers += by_group + by_others
            if by_group or by_others:
                remedies.append(f"chmod {'g' * bool(by_group)}{'o' * bool(by_others)}-w")
        if not writers:
            return None
        where = shlex.quote(printable(str(path)))
        mended = " && ".join(f"{remedy} {where}" for remedy in remedies)
        return f"{_and(writers)} can write it; {mended}"

    def _by_group(self, path: Path, status: os.stat_result) -> Iterator[str]:
        """Give whom the bits for the group let write; with an access control list, that is all."""
        if not status.st_mode & stat.S_IWGRP:
            return
        for tag, permissions, number in _entries(path):
            if not permissions & _WRITE:
                continue
            if tag == _ACL_USER and number not in self._trusted:
                yield f"the user {_user(number)}"
            group = status.st_gid if tag == _ACL_OWNING_GROUP else number
            if tag in (_ACL_OWNING_GROUP, _ACL_GROUP) and not self._is_trusted(group):
                yield f"the group {_group(group)}"

    def _is_trusted(self, group: int) -> bool:
        if group not in self._groups:
            self._groups[group] = group == ROOT or self._is_private(group)
        return self._groups[group]

    def _is_private(self, number: int) -> bool:
        """Tell whether a group is that of one trusted account, and has no others in it.

        Where every account has such a group, umask is 002, and git and editors make files that
        the group can write. That its name is the account's is how pam_umask tells, too: a directory
        service need not list everybody whose group it is.
        """
        try:
            group = grp.getgrgid(number)
        except KeyError:
            return False
        accounts = {account.pw_name: account.pw_gid for account in _accounts(self._trusted)}
        if accounts.get(group.gr_name) != number:
            return False
        others = (account.pw_name for account in pwd.getpwall() if account.pw_gid == number)
        return accounts.keys() >= {*group.gr_mem, *others}


def _entries(path: Path) -> Iterable[tuple[int, int, int]]:
    """Give the entries of a file's access control list, or the one that its mode stands for."""
    # Without such lists on this file system, or this system, there is the mode.
    with contextlib.suppress(OSError, AttributeError):
        found = os.getxattr(path, _ACL)
        return list(struct.iter_unpack(_ACL_ENTRY, found[_ACL_VERSION_BYTES:]))
    return [(_ACL_OWNING_GROUP, _WRITE, 0)]


def _accounts(numbers: Iterable[int]) -> Iterator[pwd.struct_passwd]:
    for number in numbers:
        with contextlib.suppress(KeyError):
            yield pwd.getpwuid(number)


def _user(number: int) -> str:
    return _named(lambda: pwd.getpwuid(number).pw_name, number)


def _group(number: int) -> str:
    return _named(lambda: grp.getgrgid(number).gr_name, number)


def _named(name: Callable[[], str], number: int) -> str:
    try:
        return f"'{name()}'"
    except KeyError:
        return str(number)


def _and(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
