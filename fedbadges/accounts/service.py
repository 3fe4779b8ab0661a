"""Accounts in FASJSON: their existence, other names and groups; answers are cached."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from functools import cached_property, partialmethod
from typing import TYPE_CHECKING, Any

from dogpile.cache import make_region

from fedbadges.config.settings import Settings
from fedbadges.config.values import FASJSON_NAME
from fedbadges.rules.recipients import EVERYBODY, Accounts
from fedbadges.util.caching import BoundedDict
from fedbadges.util.logs import get_logger
from fedbadges.util.moments import to_moment
from fedbadges.util.throttle import Throttle

if TYPE_CHECKING:
    from fedbadges.accounts.fasjson_http import Service

log = get_logger(__name__)

#: FASJSON answers other names with an error, which would look like an outage.
NAME = FASJSON_NAME
# Nicks, addresses and names on GitHub: printable ASCII.
_TERM = re.compile(r"[!-~]{1,254}")
#: For ages, which a date of creation is not.
_NOW = datetime.datetime.max
#: The wildcard of FASJSON.
_ANYTHING = "*"
#: How many answers are cached at most.
_MAX_ANSWERS = 50_000


class Fasjson:
    """Queries FASJSON for accounts and groups; raises Unavailable while it does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._missing_groups = Throttle()

    @cached_property
    def _service(self) -> Service:
        # Imported here, because it needs the extra ``fasjson``.
        from fedbadges.accounts.fasjson_http import Service

        return Service(self._settings)

    def exists(self, username: str) -> bool:
        """Return True if there is an account of this name that is not locked."""
        if not NAME.fullmatch(username):
            return False
        return self._service.ask("get_user", username=username) is not None

    def created(self, username: str) -> datetime.datetime | None:
        """Return when an account was created, naive UTC; None if there is none, or no date."""
        if not NAME.fullmatch(username):
            return None
        user = self._service.ask("get_user", username=username)
        return to_moment(user.get("creation"), _NOW) if isinstance(user, Mapping) else None

    def is_member(self, group: str, username: str) -> bool:
        """Return True if an account is in a group, False if either does not exist."""
        if not NAME.fullmatch(username):
            return False
        found = self._service.ask("check_membership", groupname=group, username=username)
        if found is None and self._missing_groups.allows(group):
            log.warning("FASJSON has no such group, so nobody is in it", group=group)
        return found is True

    def people_in(self, group: str, memberships: str) -> frozenset[str] | None:
        """Return all ``members`` or ``sponsors`` of a group, or None if it does not exist."""
        found = self._service.ask_pages(f"list_group_{memberships}", groupname=group)
        return None if found is None else frozenset(found)

    def by_nick(self, nick: str) -> str | None:
        """Return the one account that has this IRC nick, or None."""
        return self._only("ircnick__exact", nick, f"irc:/{nick}")

    def _only(self, field: str, *terms: str) -> str | None:
        """Return the one account that has one of these values in a field, in any case, or None."""
        names: set[str] = set()
        # FASJSON's directory ignores case, but another one behind it need not.
        for term in dict.fromkeys([*terms, *map(str.lower, terms)]):
            if term != _ANYTHING and _TERM.fullmatch(term):
                found = self._service.ask("search", **{field: term}) or ()
                names |= {user["username"] for user in found}
        # A value that several accounts share identifies none of them.
        return names.pop() if len(names) == 1 else None

    by_email = partialmethod(_only, "email")
    by_github = partialmethod(_only, "github_username")


class CachedAccounts:
    """Caches the answers of an accounts service for ``seconds``, negative ones as well."""

    def __init__(self, accounts: Accounts, seconds: float) -> None:
        self._accounts = accounts
        self._region = make_region().configure(
            "dogpile.cache.memory",
            expiration_time=seconds,
            arguments={"cache_dict": BoundedDict(_MAX_ANSWERS)},
        )

    def _ask(self, question: str, name: str) -> Any:
        ask = getattr(self._accounts, question)
        return self._region.get_or_create(f"{question} {name.lower()}", lambda: ask(name))

    exists = partialmethod(_ask, "exists")
    created = partialmethod(_ask, "created")
    by_nick = partialmethod(_ask, "by_nick")
    by_email = partialmethod(_ask, "by_email")
    by_github = partialmethod(_ask, "by_github")


def make_accounts(settings: Settings) -> Accounts:
    """Return the accounts service that ``badges.accounts`` names."""
    if settings.accounts is None:
        return EVERYBODY
    return CachedAccounts(Fasjson(settings), settings.fasjson_cache)
