"""FASJSON, Fedora's accounts service: who exists, and who is in which group."""

from __future__ import annotations

import re
from functools import cached_property, partialmethod
from typing import TYPE_CHECKING

from fedbadges.config.settings import Settings
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

if TYPE_CHECKING:
    from fedbadges.accounts.fasjson_http import Service

log = get_logger(__name__)

#: What FASJSON takes for the name of an account or a group. It answers others with an error, which
#: would look like an outage.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
# Nicks, addresses and names on GitHub: printable ASCII.
_TERM = re.compile(r"[!-~]{1,254}")
#: What FASJSON takes for anything at all.
_ANYTHING = "*"


class Fasjson:
    """Answers from FASJSON, about accounts and groups; raises Unavailable while it is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._missing_groups = Throttle()

    @cached_property
    def _service(self) -> Service:
        # Not at the top: without the extra, this cannot be imported.
        from fedbadges.accounts.fasjson_http import Service

        return Service(self._settings)

    def exists(self, username: str) -> bool:
        """Return True if there is an account of this name that is not locked."""
        if not NAME.fullmatch(username):
            return False
        return self._service.ask("get_user", username=username) is not None

    def is_member(self, group: str, username: str) -> bool:
        """Return True if an account is in a group; it is not where either does not exist."""
        if not NAME.fullmatch(username):
            return False
        found = self._service.ask("check_membership", groupname=group, username=username)
        if found is None and self._missing_groups.allows(group):
            log.warning("FASJSON has no such group, so nobody is in it", group=group)
        return found is True

    def by_nick(self, nick: str) -> str | None:
        """Return the one account that has this IRC nick, or None."""
        return self._only("ircnick__exact", nick, f"irc:/{nick}")

    def _only(self, field: str, *terms: str) -> str | None:
        """Return the one account that has one of these values in a field, or None."""
        names: set[str] = set()
        for term in terms:
            if term != _ANYTHING and _TERM.fullmatch(term):
                found = self._service.ask("search", **{field: term}) or ()
                names |= {user["username"] for user in found}
        # What several accounts share names none of them.
        return names.pop() if len(names) == 1 else None

    by_email = partialmethod(_only, "email")
    by_github = partialmethod(_only, "github_username")
