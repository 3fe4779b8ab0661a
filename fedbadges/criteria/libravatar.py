"""The criteria backend ``libravatar``: who has an avatar."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import requests

from fedbadges.config.settings import Settings
from fedbadges.errors import Unavailable
from fedbadges.rules.criteria import Question
from fedbadges.rules.grammar import YES_NO, Schema, mapping_of
from fedbadges.rules.parsing import Problems, only_entry
from fedbadges.rules.yaml_document import Node
from fedbadges.util.http import Session, error_reason

_FOUND, _NOT_FOUND = 200, 404


@dataclass(frozen=True)
class Avatar:
    """A criterion that holds if the candidate has an avatar, or if they have none."""

    exists: bool
    has_avatar: Callable[[str], bool]

    needs_history = False
    names_recipient = True

    def holds(self, subject: Question) -> bool:
        """Return the answer, asked once for all rules that a message triggers."""
        name = subject.recipient
        if name is None:
            return False
        found = subject.once(("libravatar", name), lambda: self.has_avatar(name))
        subject.tell(f"avatar of {name}", found)
        return found is self.exists


class Avatars:
    """The criteria backend ``libravatar``; ``has_avatar`` answers in place of Libravatar."""

    #: What a rule may say, for editors.
    schema: ClassVar[Schema] = {
        "description": "What Libravatar says of the candidate.",
        **mapping_of({"exists": {"description": "Has an avatar, or none.", **YES_NO.schema}}),
    }

    def __init__(self, settings: Settings, has_avatar: Callable[[str], bool] | None = None) -> None:
        self._settings = settings
        self._session = Session(settings.libravatar_timeout, max_bytes=0)
        self._has_avatar = has_avatar or self._ask

    def parse(self, node: Node, problems: Problems) -> Avatar | None:
        """Parse ``exists``; return None if anything is wrong."""
        entry = only_entry(node, ["exists"], "libravatar criteria", problems)
        exists = None if entry is None else YES_NO.read(entry[1], "'exists'", problems)
        return None if exists is None else Avatar(exists, self._has_avatar)

    def _ask(self, username: str) -> bool:
        """Return True if there is an avatar for an account's OpenID or its e-mail address."""
        return any(self._is_there(hashed) for hashed in self._hashes(username))

    def _hashes(self, username: str) -> Iterator[str]:
        openid = f"http://{username}.id.{self._settings.email_domain}/"
        yield hashlib.sha256(openid.encode()).hexdigest()
        email = self._settings.email_of(username)
        yield hashlib.md5(email.encode(), usedforsecurity=False).hexdigest()

    def _is_there(self, hashed: str) -> bool:
        base = self._settings.libravatar_url
        # The smallest avatar, and 404 rather than a default one.
        wanted = {"d": "404", "s": "1"}
        try:
            # The status is the answer; the picture is not read.
            with self._session.get(f"{base}/{hashed}", params=wanted, stream=True) as response:
                status = response.status_code
                if status not in (_FOUND, _NOT_FOUND):
                    raise requests.HTTPError(f"{status} {response.reason}")
        except requests.RequestException as error:
            raise Unavailable(f"Libravatar at {base}: {error_reason(error)}") from error
        return status == _FOUND
