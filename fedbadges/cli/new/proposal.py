"""What a stored message proposes for a new rule: its topic, who gets the badge, and its fields."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from fedbadges.cli.new.draft import SENDER, Scalar
from fedbadges.cli.topics.fields import names_any_of, walk
from fedbadges.rules.names import names_in
from fedbadges.rules.recipients import account

#: How many fields are proposed, and how long their texts are at most.
_MOST_FIELDS, _MOST_CHARACTERS = 20, 60


@dataclass(frozen=True)
class Proposal:
    """What a message has: topics, the path that names most of its users, and fields.

    ``topic`` is the end of ``whole_topic`` without its prefix.
    """

    whole_topic: str
    topic: str
    recipient: str | None
    body: Mapping[str, Any]
    fields: Mapping[str, Scalar]

    def named(self, path: str) -> Any:
        """Return what a test has at a path in place of the names there."""
        return next((_with_sender(value) for at, value in walk(self.body) if at == path), SENDER)


def propose(body: Mapping[str, Any], users: Set[str]) -> Proposal:
    """Return what a message proposes that concerns these users."""
    topic = str(body["topic"])
    parts = topic.split(".")
    start = 2 if "VirtualTopic" in topic else 3
    spelled = {name.lower() for name in users}
    recipient = max(_recipients(body, spelled), default=None)
    return Proposal(
        topic,
        ".".join(parts[start:] or parts),
        None if recipient is None else recipient[-1],
        body,
        dict(_fields(body, None if recipient is None else recipient[-1])),
    )


def _recipients(body: Mapping[str, Any], users: Set[str]) -> Iterator[tuple[int, bool, int, str]]:
    """Yield the paths that name users; the greatest is the best.

    That is one of most users, then one of text, and then the shortest.
    """
    for path, value in walk(body):
        # A test cannot have names as keys.
        if users and names_any_of(value, users) and (_with_sender(value) is not None):
            names = {account(name).name for name in names_in(value)}
            yield len(users & names), isinstance(value, str), -len(path), path


def _with_sender(value: Any) -> Any:
    """Return a value with SENDER in place of its names; None if these are keys."""
    if isinstance(value, list):
        return [_with_sender(value[0]) or SENDER] if value else [SENDER]
    if isinstance(value, Mapping):
        return {"name": SENDER} if isinstance(value.get("name"), str) else None
    return SENDER


def _fields(body: Mapping[str, Any], recipient: str | None) -> Iterator[tuple[str, Scalar]]:
    """Yield the first fields that a rule can compare with a value."""
    found = 0
    for path, value in walk(body):
        if path == recipient or not path.startswith("msg.") or not path.isprintable():
            continue
        text = isinstance(value, str) and value.isprintable() and len(value) <= _MOST_CHARACTERS
        number = isinstance(value, (bool, int)) and abs(value) < 2**53
        if (text or number) and found < _MOST_FIELDS:
            found += 1
            yield path, value
