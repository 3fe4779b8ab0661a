"""Accounts: who exists, and whose another name is."""

from functools import partialmethod
from typing import Any

from dogpile.cache import make_region

from fedbadges.accounts.fasjson import Fasjson
from fedbadges.config.settings import Settings
from fedbadges.rules.recipients import EVERYBODY, Accounts
from fedbadges.util.caching import BoundedDict

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

    def _ask(self, question: str, name: str) -> Any:
        ask = getattr(self._accounts, question)
        return self._region.get_or_create(f"{question} {name}", lambda: ask(name))

    exists = partialmethod(_ask, "exists")
    by_nick = partialmethod(_ask, "by_nick")
    by_email = partialmethod(_ask, "by_email")
    by_github = partialmethod(_ask, "by_github")


def make_accounts(settings: Settings) -> Accounts:
    """Return the accounts service that ``badges.accounts`` names."""
    if settings.accounts is None:
        return EVERYBODY
    return CachedAccounts(Fasjson(settings), settings.fasjson_cache)
