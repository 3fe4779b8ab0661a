"""Libravatar: who has an avatar."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

import requests

from fedbadges.config.settings import Settings
from fedbadges.errors import Unavailable
from fedbadges.rules.criteria import Question
from fedbadges.rules.grammar import YES_OR_NO, Schema, mapping_of
from fedbadges.rules.parsing import Problems, only_entry
from fedbadges.rules.yaml_document import Node, ScalarNode
from fedbadges.util.http import configure_session, error_reason

_FOUND = 200
_NOT_FOUND = 404


class Libravatar:
    """Questions to Libravatar; each raises Unavailable while it is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = configure_session(requests.Session(), settings.libravatar_timeout)

    def has_avatar(self, username: str) -> bool:
        """Return True if there is an avatar for an account's OpenID or its e-mail address."""
        return any(self._is_there(hashed) for hashed in self._hashes(username))

    def _hashes(self, username: str) -> Iterator[str]:
        openid = f"http://{username}.id.{self._settings.email_domain}/"
        yield hashlib.sha256(openid.encode()).hexdigest()
        email = self._settings.email_of(username)
        yield hashlib.md5(email.encode(), usedforsecurity=False).hexdigest()

    def _is_there(self, hashed: str) -> bool:
        url = f"{self._settings.libravatar_url}/{hashed}"
        try:
            # The smallest avatar, and 404 rather than a default one.
            with self._session.get(url, params={"d": "404", "s": "1"}) as response:
                status = response.status_code
        except requests.RequestException as error:
            raise self._unavailable(error_reason(error)) from error
        if status not in (_FOUND, _NOT_FOUND):
            raise self._unavailable(f"{status} {response.reason}")
        return status == _FOUND

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(f"Libravatar at {self._settings.libravatar_url}: {why}")


class Gallery(Protocol):
    """Who has an avatar."""

    def has_avatar(self, username: str) -> bool:
        """Return True if an account has one; raise Unavailable while nobody answers."""


@dataclass(frozen=True)
class Avatar:
    """A criterion that holds if the candidate has an avatar, or if they have none."""

    exists: bool
    gallery: Gallery

    needs_history = False
    names_recipient = True

    def holds(self, subject: Question) -> bool:
        """Return the answer, asked once for all rules that a message triggers."""
        name = subject.recipient
        if name is None:
            return False
        found = subject.once(("libravatar", name), lambda: self.gallery.has_avatar(name))
        subject.tell(f"avatar of {name}", found)
        return found is self.exists


class Avatars:
    """The criteria backend ``libravatar``; without a ``gallery``, Libravatar is asked."""

    #: What a rule may say, for editors.
    schema: ClassVar[Schema] = mapping_of({"exists": YES_OR_NO})

    def __init__(self, settings: Settings, gallery: Gallery | None = None) -> None:
        self._gallery = gallery or Libravatar(settings)

    def parse(self, node: Node, problems: Problems) -> Avatar | None:
        """Parse ``exists``; return None if anything is wrong."""
        entry = only_entry(node, ["exists"], "libravatar criteria", problems)
        if entry is None:
            return None
        value = entry[1]
        if not isinstance(value, ScalarNode) or not isinstance(value.value, bool):
            problems.add(value.place, "'exists' is Yes or No")
            return None
        return Avatar(value.value, self._gallery)
