"""What the accounts service, Libravatar and fedmsg.meta would answer, as a test says."""

from collections.abc import Mapping
from typing import Any

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.messages import Message
from fedbadges.ruletests.messages import SentMessage
from fedbadges.ruletests.suite import TestAccount


class TestAccounts:
    """Answers in place of the accounts service, of FASJSON's groups and of Libravatar."""

    def __init__(self, accounts: Mapping[str, TestAccount]) -> None:
        self._accounts = accounts

    def exists(self, username: str) -> bool:
        """Return True if there is an account of this name."""
        return username in self._accounts

    def by_nick(self, nick: str) -> str | None:
        """Return the one account that has this IRC nick, or None."""
        return self._only("nicks", nick)

    def by_email(self, address: str) -> str | None:
        """Return the one account that has this e-mail address, or None."""
        return self._only("emails", address)

    def by_github(self, name: str) -> str | None:
        """Return the one account that has this name on GitHub, or None."""
        return self._only("github", name)

    def is_member(self, group: str, username: str) -> bool:
        """Return True if an account is in a group."""
        return username in self._accounts and group in self._accounts[username].groups

    def has_avatar(self, username: str) -> bool:
        """Return True if an account has an avatar."""
        return username in self._accounts and self._accounts[username].avatar

    def _only(self, kind: str, value: str) -> str | None:
        names = [name for name, each in self._accounts.items() if value in getattr(each, kind)]
        return names[0] if len(names) == 1 else None


class TestUsernames(FedmsgUsernames):
    """Whom and what a message concerns: as a test says, or else as fedmsg.meta does."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._sent: dict[Message, SentMessage] = {}

    def set(self, message: Message, sent: SentMessage) -> None:
        """Answer for this message as its test says, and for no other one."""
        self._sent = {message: sent}

    def _find(self, what: str, message: Message) -> frozenset[str]:
        sent = self._sent.get(message)
        given = None if sent is None else sent.names.get(what)
        return super()._find(what, message) if given is None else given
