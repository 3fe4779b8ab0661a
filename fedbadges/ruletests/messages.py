"""The messages of a test: one sketch stands for several of a kind, sent one after the other."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedbadges.errors import MissingValue, Place
from fedbadges.messages import fits_databases
from fedbadges.rules.moments import to_moment
from fedbadges.rules.problems import Problems
from fedbadges.rules.templates import Template
from fedbadges.ruletests.grammar import FROM, NUMBER
from fedbadges.util.text import quoted

#: A test has at most this many messages.
MOST_MESSAGES = 10_000

_MINUTE = datetime.timedelta(minutes=1)

#: What is told of a message besides what it says: whom and what it concerns.
_TOLD = ("usernames", "packages", "agent")

#: Where what a sketch says goes into what another one says, instead of in its place.
_MERGED = ("msg", "headers")


@dataclass(frozen=True)
class Sent:
    """A message of a test, and who and what it concerns; None where fedmsg.meta is to say that."""

    body: Mapping[str, Any]
    usernames: frozenset[str] | None
    packages: frozenset[str] | None
    agent: str | None


@dataclass(frozen=True)
class Sketch:
    """``count`` messages from each of the ``senders``; with texts to be filled in."""

    place: Place
    fields: Mapping[str, Any]
    senders: tuple[str, ...] = ()
    count: int = 1
    every: datetime.timedelta = _MINUTE

    @property
    def size(self) -> int:
        """How many messages it stands for."""
        return self.count * max(1, len(self.senders))


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Give what one sketch says, ``over``, in front of what another one does."""
    whole = {**under, **over}
    for key in _MERGED:
        if key in under and key in over:
            whole[key] = _mixed(under[key], over[key])
    return whole


class Writer:
    """Writes the messages of one test, and reports those that could never be sent."""

    def __init__(self, now: datetime.datetime, problems: Problems) -> None:
        self._now = self._clock = now
        self._problems = problems
        self._left = MOST_MESSAGES
        self._ids: set[object] = set()

    def past(self, sketches: Iterable[Sketch]) -> tuple[Sent, ...]:
        """Write what was sent before now: in this order, and the last just before."""
        groups: list[tuple[Sent, ...]] = []
        until = self._now
        for sketch in reversed(list(sketches)):
            try:
                first = self._told(sketch)
                if first is None:
                    first = until = until - sketch.count * sketch.every
                groups.append(self._write(sketch, first))
            except OverflowError:
                self._report_time(sketch)
        return tuple(sent for group in reversed(groups) for sent in group)

    def incoming(self, sketch: Sketch) -> tuple[Sent, ...]:
        """Write what is sent now, and after what was written before."""
        try:
            first = self._told(sketch) or self._clock
            self._clock = first + sketch.count * sketch.every
            return self._write(sketch, first)
        except OverflowError:
            self._report_time(sketch)
            return ()

    def _told(self, sketch: Sketch) -> datetime.datetime | None:
        stamp = sketch.fields.get("timestamp")
        return None if stamp is None else to_moment(stamp.value, self._now)

    def _report_time(self, sketch: Sketch) -> None:
        self._problems.add(sketch.place, "sent at a time that no calendar has")

    def _write(self, sketch: Sketch, first: datetime.datetime) -> tuple[Sent, ...]:
        self._left -= sketch.size
        if self._left < 0:
            text = f"with these, the test has more than {MOST_MESSAGES} messages"
            self._problems.add(sketch.place, text)
            return ()
        try:
            return tuple(
                self._sent(sketch, first + number * sketch.every, number + 1, sender)
                for number in range(sketch.count)
                for sender in sketch.senders or (None,)
            )
        except MissingValue:
            text = f"a text has %({FROM})s, and no '{FROM}' says whom the message is from"
            self._problems.add(sketch.place, text)
            return ()

    def _sent(
        self, sketch: Sketch, moment: datetime.datetime, number: int, sender: str | None
    ) -> Sent:
        values: dict[str, Any] = {NUMBER: number}
        if sender is not None:
            values[FROM] = sender
        filled = {
            key: _filled(value, values)
            for key, value in sketch.fields.items()
            if key != "timestamp"
        }
        told = {key: filled.pop(key, None) for key in _TOLD}
        if told["usernames"] is None and sender is not None:
            told["usernames"] = [sender]
        msg_id = filled.pop("msg_id", f"test-{len(self._ids) + 1}")
        self._check(sketch.place, filled.get("topic"), msg_id)
        body = {
            "msg": {},
            "i": 1,
            **filled,
            "msg_id": msg_id,
            "timestamp": moment.replace(tzinfo=datetime.timezone.utc).timestamp(),
        }
        return Sent(body, _names(told["usernames"]), _names(told["packages"]), told["agent"])

    def _check(self, place: Place, topic: Any, msg_id: Any) -> None:
        if not isinstance(topic, str):
            self._problems.add(place, "missing key 'topic' in a message")
        elif not fits_databases(topic):
            self._problems.add(place, f"{quoted(topic)} can be no topic")
        if msg_id in self._ids:
            self._problems.add(place, f"another message has the msg_id {quoted(str(msg_id))}")
        self._ids.add(msg_id)


def _mixed(under: Any, over: Any) -> Any:
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {**under, **{key: _mixed(under.get(key), value) for key, value in over.items()}}


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Template):
        return value.fill(values)
    if isinstance(value, dict):
        return {key: _filled(each, values) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(each, values) for each in value]
    return value


def _names(told: Iterable[Any] | None) -> frozenset[str] | None:
    return None if told is None else frozenset(str(name) for name in told)
