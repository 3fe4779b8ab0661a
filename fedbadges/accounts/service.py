"""Accounts: who exists, and whose another name is."""

from collections.abc import Callable
from typing import TypeVar

from dogpile.cache import make_region

from fedbadges.accounts.fasjson import Fasjson
from fedbadges.config.settings import Settings
from fedbadges.rules.recipients import EVERYBODY, Accounts
from fedbadges.util.caching import BoundedDict

T = TypeVar("T")

#: How many answers are cached at most.
_MAX_ANSWERS = 50_000


class CachedAccounts:
    """Caches the answers of an accounts service, also that there is no account, for ``seconds``."""

    def __init__(self, accounts: Accounts, seconds: float) -> None:
        self._accounts = accounts
        self._region = make_region().configure(
            "dogpile.cache.memory",
            expiration_time=seconds,
            arguments={"cache_dict": BoundedDict(_MAX_ANSWERS)},
        )

    def exists(self, username: str) -> bool:
        """Return True if there is an account of this name."""
        return self._cached("exists", username, self._accounts.exists)

    def by_nick(self, nick: str) -> str | None:
        """Return the account of an IRC nick, or None."""
        return self._cached("nick", nick, self._accounts.by_nick)

    def by_email(self, address: str) -> str | None:
        """Return the account of an e-mail address, or None."""
        return self._cached("email", address, self._accounts.by_email)

    def by_github(self, name: str) -> str | None:
        """Return the account of a name on GitHub, or None."""
        return self._cached("github", name, self._accounts.by_github)

    def _cached(self, question: str, name: str, ask: Callable[[str], T]) -> T:
        found: T = self._region.get_or_create(f"{question} {name}", lambda: ask(name))
        return found


def make_accounts(settings: Settings) -> Accounts:
    """Return the accounts service that ``badges.accounts`` names."""
    if settings.accounts is None:
        return EVERYBODY
    return CachedAccounts(Fasjson(settings), settings.fasjson_cache)
