"""The funnel of a rule: how far its messages got, and why others did not get further."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from fedbadges.errors import MissingValue, Place
from fedbadges.rules.recipients import NO_ACCOUNT, NamedPerson
from fedbadges.rules.rule import Rule
from fedbadges.util.text import printable

#: The steps of a rule with a message, each of which can fail: the trigger, naming people, and the
#: criteria.
TRIGGER, NAMING, JUDGING = "trigger", "recipient", "criteria"

#: How many characters of an error are kept as a reason.
_MAX_CHARACTERS = 200


class Reason(NamedTuple):
    """Why a rule got no further with a message; ``missing`` is the path that the message lacks.

    A reason ``of_people`` says nothing of the rule, however often it comes.
    """

    text: str
    missing: str | None = None
    of_people: bool = False


@dataclass(frozen=True)
class Stop:
    """How often a rule got no further than a step, and why.

    ``count`` of the ``total`` messages that got to the step ended there for this reason. Where they
    lack the path ``missing``, ``part`` of the rule is what reads it, and ``nearest`` is a path that
    they have instead.
    """

    step: str
    part: str
    reason: str
    count: int
    total: int
    missing: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        share = "all" if self.count == self.total else f"{self.count:,}"
        nearest = "" if self.nearest is None else f"; they have '{self.nearest}'"
        return f"in {share} of them {self.reason}{nearest}"


@dataclass
class FunnelCounters:
    """How many messages got how far with a rule, and how many awards came of it.

    ``seen`` have a topic that may trigger it, and ``triggered`` did. Of these, ``candidates`` have
    a candidate, and ``held`` name only people who hold the badge already, lost it after the message
    was sent, or have opted out.
    """

    seen: int = 0
    triggered: int = 0
    candidates: int = 0
    held: int = 0
    criteria_held: int = 0
    awarded: int = 0


#: The names of the counters, in their order.
COUNTERS = tuple(each.name for each in fields(FunnelCounters))


@dataclass
class Funnel(FunnelCounters):
    """A snapshot of the counters of a rule, with why messages got no further."""

    stops: tuple[Stop, ...] = ()

    def __str__(self) -> str:
        return (
            f"Seen: {self.seen:,}, triggered: {self.triggered:,}, with candidates: "
            f"{self.candidates:,}, already held: {self.held:,}, criteria held: "
            f"{self.criteria_held:,}, awarded: {self.awarded:,}."
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return in a sentence each why messages got no further."""
        what = {TRIGGER: "seen", NAMING: "triggered it", JUDGING: "had candidates"}
        return tuple(
            f"{stop.total:,} {'message' if stop.total == 1 else 'messages'} {what[stop.step]}; "
            f"{stop}."
            for stop in self.stops
        )


@dataclass(frozen=True)
class Trouble:
    """A rule that has not worked for any of its latest messages, the place of that, and why."""

    rule: Rule
    place: Place
    stop: Stop

    def __str__(self) -> str:
        what = {NAMING: "that triggered the rule", JUDGING: "with candidates"}[self.stop.step]
        return (
            f"{self.place}: the latest {self.stop.total} messages {what} gave nobody the badge; "
            f"{self.stop}"
        )


def reason_of(error: BaseException) -> Reason:
    """Return why a rule cannot be judged for a message, without any text of the message."""
    if isinstance(error, MissingValue):
        path = error.path
        return Reason(str(error)[:_MAX_CHARACTERS]) if path is None else _missing(path)
    return Reason(f"the rule raises {printable(type(error).__name__)}")


def reason_for_nobody(rule: Rule, found: Sequence[NamedPerson]) -> Reason:
    """Return why none of those whom a message names can be a candidate."""
    if found:
        return _dropped(found[0].dropped)
    return _names_nobody(None if rule.recipient is None else str(rule.recipient))


# Rules have few of these, and a dead rule would make them for every message.
@functools.lru_cache(1000)
def _missing(path: str) -> Reason:
    return Reason(f"'{printable(path)}' is missing", path)


@functools.lru_cache(1000)
def _dropped(why: str) -> Reason:
    return Reason(f"the recipient {why}", of_people=why == NO_ACCOUNT)


@functools.lru_cache(1000)
def _names_nobody(recipient: str | None) -> Reason:
    if recipient is None:
        return Reason("fedmsg.meta names nobody")
    return Reason(f"'{printable(recipient)}' names nobody")
