"""The people of a test: what the accounts service, Libravatar and fedmsg.meta would say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.messages import Message
from fedbadges.rules.recipients import EVERYBODY, Accounts
from fedbadges.ruletests.messages import Sent
from fedbadges.ruletests.suite import TestAccount, World


class People:
    """Answers in place of the accounts service, of FASJSON's groups and of Libravatar."""

    def __init__(self, accounts: Mapping[str, TestAccount]) -> None:
        self._accounts = accounts

    def exists(self, username: str) -> bool:
        """Tell whether there is an account of this name."""
        return username in self._accounts

    def by_nick(self, nick: str) -> str | None:
        """Give the one account that has this IRC nick, or None."""
        return self._only(lambda account: nick in account.nicks)

    def by_email(self, address: str) -> str | None:
        """Give the one account that has this e-mail address, or None."""
        return self._only(lambda account: address in account.emails)

    def by_github(self, name: str) -> str | None:
        """Give the one account that has this name on GitHub, or None."""
        return self._only(lambda account: name in account.github)

    def is_member(self, group: str, username: str) -> bool:
        """Tell whether an account is in a group."""
        account = self._accounts.get(username)
        return account is not None and group in account.groups

    def has_avatar(self, username: str) -> bool:
        """Tell whether an account has an avatar."""
        account = self._accounts.get(username)
        return account is not None and account.avatar

    def _only(self, has: Callable[[TestAccount], bool]) -> str | None:
        names = [name for name, account in self._accounts.items() if has(account)]
        return names[0] if len(names) == 1 else None


def people_of(world: World) -> tuple[Accounts, People]:
    """Give the accounts of a test, and who answers the criteria that ask about people."""
    people = People(world.accounts or {})
    return (EVERYBODY if world.accounts is None else people), people


class ToldUsernames(FedmsgUsernames):
    """Names whom and what a message concerns: as a test says, and else as fedmsg.meta does."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._told: dict[Message, Sent] = {}

    def tell(self, told: Mapping[Message, Sent]) -> None:
        """Take what is told of some messages in place of what was told before."""
        self._told = dict(told)

    def users(self, message: Message) -> frozenset[str]:
        """Name the users that the message concerns, in lower case."""
        told = self._told.get(message)
        if told is None or told.usernames is None:
            return super().users(message)
        return frozenset(name.lower() for name in told.usernames)

    def packages(self, message: Message) -> frozenset[str]:
        """Name the packages that the message concerns."""
        told = self._told.get(message)
        return super().packages(message) if told is None or told.packages is None else told.packages

    def agent(self, message: Message) -> str | None:
        """Name the user who did what the message tells, in lower case."""
        told = self._told.get(message)
        return super().agent(message) if told is None or told.agent is None else told.agent.lower()
