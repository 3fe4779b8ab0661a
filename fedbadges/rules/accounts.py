"""What recipients ask of an accounts service: who exists, and whose another name is."""

from __future__ import annotations

from typing import Protocol


class Accounts(Protocol):
    """Who has an account. Every question raises Unavailable while nobody answers."""

    def exists(self, username: str) -> bool:
        """Tell whether there is an account of this name."""

    def by_nick(self, nick: str) -> str | None:
        """Give the account of an IRC nick, or None."""

    def by_email(self, address: str) -> str | None:
        """Give the account of an e-mail address, or None."""

    def by_github(self, name: str) -> str | None:
        """Give the account of a name on GitHub, or None."""


class Everybody:
    """Where no accounts service is configured: every name exists, and is left as it is."""

    def exists(self, username: str) -> bool:
        """Take every name for an account."""
        return True

    def by_nick(self, nick: str) -> str | None:
        """Give the nick itself."""
        return nick

    def by_email(self, address: str) -> str | None:
        """Give the address itself, which is no account name unless it has no ``@``."""
        return address

    def by_github(self, name: str) -> str | None:
        """Give the name itself."""
        return name


EVERYBODY = Everybody()
