"""FASJSON, Fedora's accounts service: who exists, and who is in which group."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from fedbadges.once import Throttle
from fedbadges.rules.criteria import Question
from fedbadges.rules.document import Mapping, Node
from fedbadges.rules.operators import OPERATORS, Check, parse_operator
from fedbadges.rules.parsing import as_text, only_entry
from fedbadges.rules.problems import Problems
from fedbadges.rules.schema import Schema, combined, mapping_of
from fedbadges.settings import Settings
from fedbadges.values import FASJSON_MISSING, has_fasjson_client

if TYPE_CHECKING:
    from fedbadges.fasjson_http import Service

log = logging.getLogger(__name__)

# What FASJSON takes for the name of an account or a group. It answers others with an error, which
# would look like an outage.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
# Nicks, addresses and names on GitHub: printable ASCII.
_TERM = re.compile(r"[!-~]{1,254}")
#: What FASJSON takes for anything at all.
_ANYTHING = "*"


class Fasjson:
    """Questions to FASJSON, as Accounts and for groups; each raises Unavailable while it is away.

    fasjson-client must be installed, and ``badges.fasjson.url`` set.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._missing_groups = Throttle()

    @cached_property
    def _service(self) -> Service:
        # Not at the top: without the extra, this cannot be imported.
        from fedbadges.fasjson_http import Service

        return Service(self._settings)

    def exists(self, username: str) -> bool:
        """Tell whether there is an account of this name that is not locked."""
        if not _NAME.fullmatch(username):
            return False
        return self._service.ask("get_user", username=username) is not None

    def by_nick(self, nick: str) -> str | None:
        """Give the one account that has this IRC nick, or None."""
        return _only(self._search("ircnick__exact", nick, f"irc:/{nick}"))

    def by_email(self, address: str) -> str | None:
        """Give the one account that has this e-mail address, or None."""
        return _only(self._search("email", address))

    def by_github(self, name: str) -> str | None:
        """Give the one account that has this name on GitHub, or None."""
        return _only(self._search("github_username", name))

    def is_member(self, group: str, username: str) -> bool:
        """Tell whether an account is in a group; it is not where either does not exist."""
        if not _NAME.fullmatch(username):
            return False
        found = self._service.ask("check_membership", groupname=group, username=username)
        if found is None and self._missing_groups.first(group):
            log.warning("FASJSON has no group %r, so nobody is in it", group)
        return found is True

    def _search(self, field: str, *terms: str) -> set[str]:
        found: list[dict[str, Any]] = []
        for term in terms:
            if term != _ANYTHING and _TERM.fullmatch(term):
                found += self._service.ask("search", **{field: term}) or []
        return {user["username"] for user in found}


class Directory(Protocol):
    """Who is in which group."""

    def is_member(self, group: str, username: str) -> bool:
        """Tell whether an account is in a group; raises Unavailable while nobody answers."""


@dataclass(frozen=True)
class Member:
    """Holds of a candidate who is in a group."""

    group: str
    directory: Directory

    def holds(self, subject: Question) -> bool:
        """Ask, once for all rules that ask the same of the same message."""
        name = subject.recipient
        if name is None:
            return False
        found = subject.once(
            ("fasjson", self.group, name), lambda: self.directory.is_member(self.group, name)
        )
        subject.tell(f"{name} in {self.group}", found)
        return found


@dataclass(frozen=True)
class Membership:
    """A criterion over the groups of the candidate: one, or operators over several."""

    groups: Check[Question]

    needs_history = False
    names_recipient = True

    def holds(self, subject: Question) -> bool:
        """Tell whether the candidate is in the groups."""
        return self.groups.holds(subject)


class Groups:
    """The criteria backend ``fasjson``; without a ``directory``, FASJSON is asked."""

    #: What a rule may say, for editors.
    schema: ClassVar[Schema] = {
        **mapping_of({"group": {"$ref": "#/$defs/group"}}),
        "$defs": {
            "group": combined({"type": "string", "pattern": rf"^\s*{_NAME.pattern}\s*$"}, "group")
        },
    }

    def __init__(self, settings: Settings, directory: Directory | None = None) -> None:
        self._settings = settings
        self._directory = directory or Fasjson(settings)

    def parse(self, node: Node, problems: Problems) -> Membership | None:
        """Parse ``group``; None after reporting what is wrong, or that it is not configured."""
        before = len(problems)
        if self._settings.fasjson_url is None:
            problems.lack(node.place, "'fasjson' needs the setting 'badges.fasjson.url'")
        elif not has_fasjson_client():
            problems.lack(node.place, f"'fasjson' cannot be asked: {FASJSON_MISSING}")
        entry = only_entry(node, ["group"], "fasjson criteria", problems)
        groups = None if entry is None else self._parse_groups(entry[1], problems)
        if groups is None or len(problems) > before:
            return None
        return Membership(groups)

    def _parse_groups(self, node: Node, problems: Problems) -> Check[Question] | None:
        """Parse the name of a group, or operators over several."""
        if isinstance(node, Mapping):
            entry = only_entry(node, OPERATORS, "a 'group'", problems)
            if entry is None:
                return None
            key, value = entry
            return parse_operator(
                key.text, value, lambda part: self._parse_groups(part, problems), problems
            )
        name = as_text(node, "a group", problems)
        if name is None:
            return None
        group = name.text.strip()
        if not _NAME.fullmatch(group):
            problems.add(node.place, f"'{group}' cannot be the name of a group")
            return None
        return Member(group, self._directory)


def _only(names: set[str]) -> str | None:
    """Give the only name; where several share something, it is told of none."""
    return next(iter(names)) if len(names) == 1 else None
