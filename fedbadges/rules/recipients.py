"""Recipients: who a message says should get the badge, as account names."""

import datetime
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from fedbadges.rules.names import in_lower_case

#: How many people one message can name. No honest message names more, and each costs a query.
MOST_CANDIDATES = 500

#: Why names are dropped that come after so many others.
PASSED_OVER = f"comes after {MOST_CANDIDATES} others"

#: Why names are dropped that ``badges.banned_usernames`` or the rule's own ``except`` has.
BANNED = "is among the banned usernames"
EXCEPTED = "is whom the rule excepts"

#: Who is dropped for these reasons was named, and shall not get the badge.
UNWANTED = frozenset([BANNED, EXCEPTED])

#: Why somebody is dropped whom the accounts service does not know, as many people on IRC.
NO_ACCOUNT = "belongs to no account"

#: The most characters of an account name, and of anybody's address, nick or name on GitHub.
MAX_NAME = 64
_MAX_LOOK_UP = 254

#: Of how many names it is cached whether they can be accounts.
_MOST_NAMES = 10_000

_EMAIL = "recipient_email2fas"
_OPENID = "recipient_openid2fas"
_GITHUB = "recipient_github2fas"
_DISTGIT = "recipient_distgit2fas"
_KERBEROS = "recipient_krb2fas"

#: Why text is no name; where there are conversions, they say what they would have read.
_TOO_LONG = f"is longer than {MAX_NAME} characters"
_ODD = "has characters that no account name has"


class Accounts(Protocol):
    """What recipients ask of an accounts service; each method raises Unavailable."""

    def exists(self, username: str) -> bool:
        """Return True if there is an account of this name."""

    def created(self, username: str) -> datetime.datetime | None:
        """Return when an account was created, naive UTC; None if that is not known."""

    def by_nick(self, nick: str, /) -> str | None:
        """Return the account of an IRC nick, or None."""

    def by_email(self, address: str, /) -> str | None:
        """Return the account of an e-mail address, or None."""

    def by_github(self, name: str, /) -> str | None:
        """Return the account of a name on GitHub, or None."""


class Everybody:
    """Stands in where no accounts service is configured: every name is an account."""

    def exists(self, username: str) -> bool:
        """Return True."""
        return True

    def created(self, username: str) -> datetime.datetime | None:
        """Return None."""
        return None

    def by_nick(self, name: str, /) -> str | None:
        """Return the name itself; an address is no account name, and is dropped later."""
        return name

    by_email = by_github = by_nick


EVERYBODY = Everybody()


@dataclass(frozen=True)
class NamedPerson:
    """What a message has as somebody's name, and the account name that this is.

    ``name`` is in lower case, or None if ``dropped`` says why it cannot be an account.
    """

    raw: Any
    name: str | None
    dropped: str = ""


@dataclass(frozen=True)
class TrustedDomains:
    """Whose names are believed: under any other domain people may call themselves what they like.

    ``email`` is the domain of the accounts' own addresses, ``id_provider`` and ``distgit`` are
    hosts, ``realm`` is that of Kerberos. None of them depends on case.
    """

    email: str = "fedoraproject.org"
    id_provider: str = "id.fedoraproject.org"
    distgit: str = "src.fedoraproject.org"
    realm: str = "FEDORAPROJECT.ORG"

    @cached_property
    def examples(self) -> Mapping[str, str]:
        """Return what each conversion reads, with NAME for the account's name."""
        return {
            _EMAIL: f"NAME@{self.email}",
            _OPENID: f"http://NAME.{self.id_provider}/",
            _DISTGIT: f"https://{self.distgit}/user/NAME",
            _KERBEROS: f"NAME@{self.realm}",
            _GITHUB: "https://github.com/NAME",
        }

    @cached_property
    def patterns(self) -> Mapping[str, re.Pattern[str]]:
        """Return a regular expression for each of these conversions, with the name as its group."""
        email, id_provider, distgit, realm = map(
            re.escape, (self.email, self.id_provider, self.distgit, self.realm)
        )
        found = {
            _EMAIL: rf"(.*)@{email}",
            # What follows '?', '#' or '\\' is no part of a host, and none of a name.
            _OPENID: rf"https?://([^./?#\\]+)\.{id_provider}/?",
            _DISTGIT: rf"https?://{distgit}/user/([^/?#\\]+)/?",
            # A service's principal has its machine as well; that of a machine names nobody.
            _KERBEROS: rf"(?!(?:host|http)/)([^/@]+)(?:/[^/@]+)?(?:@{realm})?",
            _GITHUB: r"https?://(?:api\.github\.com/users|(?:www\.)?github\.com)/([^/?#\\]+)/?",
        }
        flags = re.IGNORECASE | re.ASCII | re.DOTALL
        return {key: re.compile(pattern, flags) for key, pattern in found.items()}


@dataclass(frozen=True)
class Conversions:
    """What kinds of names, beside those of accounts, a rule expects: keys of CONVERSIONS."""

    keys: frozenset[str] = frozenset()

    def read(
        self, raw: tuple[Any, ...], trusted: TrustedDomains, accounts: Accounts
    ) -> tuple[NamedPerson, ...]:
        """Return the people of these names; raise Unavailable.

        ``accounts`` is asked about MOST_CANDIDATES names at most; the others are dropped as
        PASSED_OVER.
        """
        if not self.keys:
            return tuple(map(account, raw))
        texts = list(dict.fromkeys(name for name in raw if isinstance(name, str)))
        most = MOST_CANDIDATES if self.keys & _LOOK_UPS.keys() else None
        found = {name: self._account(name, trusted, accounts) for name in texts[:most]}
        return tuple(
            found.get(name) or NamedPerson(name, None, PASSED_OVER)
            if isinstance(name, str)
            else account(name)
            for name in raw
        )

    def _account(self, raw: str, trusted: TrustedDomains, accounts: Accounts) -> NamedPerson:
        converted = {
            key: found[1]
            for key, pattern in trusted.patterns.items()
            if key in self.keys and (found := pattern.fullmatch(raw))
        }
        other_name = converted.pop(_GITHUB, raw)
        name = next(iter(converted.values()), raw)
        if name != raw:
            return account(name, raw)
        look_ups = [
            look_up
            for key, look_up in _LOOK_UPS.items()
            if key in self.keys and (key != _EMAIL or "@" in raw)
        ]
        if not look_ups or len(raw) > _MAX_LOOK_UP:
            return self._unread(account(other_name, raw), trusted)
        for look_up in look_ups:
            owner = look_up(accounts, other_name)
            if owner is not None:
                return self._unread(account(owner, raw), trusted)
        return NamedPerson(raw, None, NO_ACCOUNT)

    def _unread(self, person: NamedPerson, trusted: TrustedDomains) -> NamedPerson:
        """Return somebody; if dropped as no name, with what the conversions would have read."""
        read = [each for key, each in trusted.examples.items() if key in self.keys]
        if person.dropped not in (_ODD, _TOO_LONG) or not read:
            return person
        return replace(person, dropped=f"is neither a name nor like {' or '.join(read)}")


def account(value: Any, raw: Any = None) -> NamedPerson:
    """Return the account name for a value, in lower case, or why it cannot be one."""
    raw = value if raw is None else raw
    if not isinstance(value, str):
        return NamedPerson(raw, None, "is not text")
    found = _account_of(str(value[: MAX_NAME + 1]))
    return found if found.raw == raw else replace(found, raw=raw)


@functools.lru_cache(_MOST_NAMES)
def _account_of(text: str) -> NamedPerson:
    """Return the account name for a text, cut to one character more than any has."""
    name = in_lower_case(text)
    dropped = _ODD if name is None else _dropped(name)
    return NamedPerson(text, None if dropped else name, dropped)


def _dropped(name: str) -> str:
    """Return why a name, cut to one character more than any has, cannot be an account, if so."""
    if not name:
        return "is empty"
    if len(name) > MAX_NAME:
        return _TOO_LONG
    if _IPV4.fullmatch(name) or _IPV6.fullmatch(name):
        return "is an IP address"
    # Control characters, lone surrogates and marks of the writing direction are not printable.
    if _IMPOSSIBLE.search(name) or not name.isprintable():
        return _ODD
    return "" if _ENDS.fullmatch(name) else "does not begin and end with a letter, a digit or '_'"


# Blanks, and what e-mail addresses, URLs, addresses with a port and templates have.
_IMPOSSIBLE = re.compile(r"[\s@/:%]")

# Within, an IRC nick may have brackets and the like.
_ENDS = re.compile(r"\w(.*\w)?")

# As machines read them: with leading zeros, in hexadecimal, or with fewer parts than four.
_NUMBER = r"(?:0x[0-9a-f]+|\d+)"
_IPV4 = re.compile(rf"(?:\d+|{_NUMBER}(?:\.{_NUMBER})+)\.?(?::\d*)?")
_IPV6 = re.compile(r"\[?[0-9a-f.]*:[0-9a-f.]*:[0-9a-f:.]*(?:%\w+)?\]?(?::\d*)?")


#: The keys of a rule that say what kind of name the recipient is, with an example or its name.
CONVERSIONS = {
    "recipient_nick2fas": "an IRC nick",
    _EMAIL: "an e-mail address",
    _OPENID: "like http://alice.id.fedoraproject.org/",
    _GITHUB: "a name on GitHub",
    _DISTGIT: "like https://src.fedoraproject.org/user/bob",
    _KERBEROS: "like alice@FEDORAPROJECT.ORG",
}

# What needs an accounts service.
_LOOK_UPS: dict[str, Callable[[Accounts, str], str | None]] = {
    "recipient_nick2fas": lambda accounts, nick: accounts.by_nick(nick),
    _EMAIL: lambda accounts, address: accounts.by_email(address),
    _GITHUB: lambda accounts, name: accounts.by_github(name),
}
