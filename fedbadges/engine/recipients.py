"""Whom a message names for the badge of a rule that it triggered."""

from dataclasses import replace

from fedbadges.config.settings import Settings
from fedbadges.messages import Message, Usernames
from fedbadges.rules.recipients import (
    BANNED,
    EVERYBODY,
    EXCEPTED,
    Accounts,
    NamedPerson,
    TrustedDomains,
    account,
)
from fedbadges.rules.rule import Rule


class RecipientFinder:
    """Finds recipients of badges in messages; the methods raise Unavailable."""

    def __init__(
        self, settings: Settings, usernames: Usernames, accounts: Accounts = EVERYBODY
    ) -> None:
        self._banned = settings.banned_usernames
        self._trusted = TrustedDomains(
            settings.email_domain,
            settings.id_provider_hostname,
            settings.distgit_hostname,
            settings.krb_realm,
        )
        #: Who says whom a message concerns.
        self.usernames = usernames
        self._accounts = accounts

    def find(self, rule: Rule, message: Message) -> tuple[NamedPerson, ...]:
        """Return everybody whom the message names, and why some can get no badge."""
        if rule.recipient is None:
            found = tuple(account(name) for name in sorted(self.usernames.users(message)))
        else:
            found = rule.recipient.find(message.values, self._trusted, self._accounts)
        found = _without(found, self._banned, BANNED)
        if rule.excepted is None or not any(each.name for each in found):
            return found
        excepted = rule.excepted.names(message.values, self._trusted, self._accounts)
        return _without(found, excepted, EXCEPTED)

    def exists(self, username: str) -> bool:
        """Return True if there is an account of this name."""
        return self._accounts.exists(username)


def _without(
    found: tuple[NamedPerson, ...], names: frozenset[str], why: str
) -> tuple[NamedPerson, ...]:
    """Return people, those of these names dropped."""
    if names.isdisjoint([each.name for each in found]):
        return found
    return tuple(
        replace(each, name=None, dropped=why) if each.name in names else each for each in found
    )
