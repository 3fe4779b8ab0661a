"""Accounts: who exists, and whose another name is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from dogpile.cache import make_region

from fedbadges.rules.recipients import EVERYBODY, Accounts
from fedbadges.util.caching import BoundedDict

if TYPE_CHECKING:
    from fedbadges.config.settings import Settings

T = TypeVar("T")

#: How many answers are remembered at most.
_MOST = 50_000


class CachedAccounts:
    """Another's answers, those that say no as well, each asked for once in ``seconds``."""

    def __init__(self, accounts: Accounts, seconds: float) -> None:
        self._accounts = accounts
        self._region = make_region().configure(
            "dogpile.cache.memory",
            expiration_time=seconds,
            arguments={"cache_dict": BoundedDict(_MOST)},
        )

    def exists(self, username: str) -> bool:
        """Tell whether there is an account of this name."""
        return self._remembered("exists", username, self._accounts.exists)

    def by_nick(self, nick: str) -> str | None:
        """Give the account of an IRC nick, or None."""
        return self._remembered("nick", nick, self._accounts.by_nick)

    def by_email(self, address: str) -> str | None:
        """Give the account of an e-mail address, or None."""
        return self._remembered("email", address, self._accounts.by_email)

    def by_github(self, name: str) -> str | None:
        """Give the account of a name on GitHub, or None."""
        return self._remembered("github", name, self._accounts.by_github)

    def _remembered(self, question: str, name: str, ask: Callable[[str], T]) -> T:
        found: T = self._region.get_or_create(f"{question} {name}", lambda: ask(name))
        return found


def make_accounts(settings: Settings) -> Accounts:
    """Make the accounts service that ``badges.accounts`` names."""
    if settings.accounts is None:
        return EVERYBODY
    # Not at the top: the rule language imports this module, and needs no service.
    from fedbadges.accounts.fasjson import Fasjson

    return CachedAccounts(Fasjson(settings), settings.fasjson_cache)
