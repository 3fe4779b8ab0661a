"""The messages of a test; one item of the file may stand for several of them."""

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedbadges.errors import MissingValue
from fedbadges.messages import fits_databases
from fedbadges.rules.grammar import Fields
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import Template
from fedbadges.ruletests.format import FROM, MAX_MESSAGES, MESSAGE_KEYS, NUMBER
from fedbadges.util.moments import to_moment
from fedbadges.util.text import quoted, suggestion

#: Stands in for a malformed topic, which was reported already.
_MISTAKEN = "mistaken"
#: The default values of an item.
_DEFAULTS = {"count": 1, "every": datetime.timedelta(minutes=1), "msg": {}, "i": 1}


@dataclass(frozen=True)
class SentMessage:
    """A message of a test; ``names`` has the users, the agent and the packages that it states."""

    body: Mapping[str, Any]
    names: Mapping[str, frozenset[str]]


class MessageBuilder:
    """Builds the messages of one test; ``named`` are those that others may be 'like'."""

    def __init__(
        self, named: Mapping[str, Fields], now: datetime.datetime, problems: Problems
    ) -> None:
        self._named = named
        self._now = self._clock = now
        self._problems = problems
        self._left = MAX_MESSAGES
        self._ids: set[object] = set()

    def past(self, items: Sequence[Fields]) -> tuple[SentMessage, ...]:
        """Build the messages that were sent before now, in this order, the last one just before."""
        groups: list[tuple[SentMessage, ...]] = []
        until = self._now
        for item in map(self._completed, reversed(items)):
            with self._reporting(item):
                start = self._start(item)
                if start is None:
                    start = until = until - item.values["count"] * item.values["every"]
                groups.append(self._build(item, start))
        return tuple(sent for group in reversed(groups) for sent in group)

    def incoming(self, item: Fields) -> tuple[SentMessage, ...]:
        """Build messages that are sent now, after those that were built before."""
        item = self._completed(item)
        with self._reporting(item):
            start = self._start(item) or self._clock
            self._clock = start + item.values["count"] * item.values["every"]
            return self._build(item, start)
        return ()

    def _completed(self, item: Fields) -> Fields:
        """Return an item with the values of the message that it is like, and the defaults."""
        values, base = _with_topic(item), {}
        like = values.get("like")
        if like is not None and like.text in self._named:
            base = _with_topic(self._named[like.text])
            merged = values.keys() & {"msg", "headers"}
            values |= {key: _merge(base.get(key), values[key]) for key in merged}
        elif like is not None:
            hint = suggestion(like.text, self._named) if self._named else "; there is none at all"
            self._problems.add(like.place, f"no message {quoted(like.text)} under 'messages'{hint}")
            base = {"topic": _MISTAKEN}
        return replace(item, values={**_DEFAULTS, **base, **values})

    def _start(self, item: Fields) -> datetime.datetime | None:
        timestamp = item.values.get("timestamp")
        return None if timestamp is None else to_moment(timestamp.value, self._now)

    @contextlib.contextmanager
    def _reporting(self, item: Fields) -> Iterator[None]:
        try:
            yield
        except OverflowError:
            self._problems.add(item.place, "sent at a time that is out of range")
        except MissingValue:
            self._problems.add(
                item.place, f"a text has %({FROM})s, but the message has no '{FROM}'"
            )

    def _build(self, item: Fields, start: datetime.datetime) -> tuple[SentMessage, ...]:
        count = item.values["count"]
        senders = [node.text for node in item.values.get("from", ())] or [None]
        self._left -= count * len(senders)
        if self._left < 0:
            text = f"with these, the test has more than {MAX_MESSAGES} messages"
            self._problems.add(item.place, text)
            return ()
        return tuple(
            self._message(item, start + number * item.values["every"], number + 1, sender)
            for number in range(count)
            for sender in senders
        )

    def _message(
        self, item: Fields, moment: datetime.datetime, number: int, sender: str | None
    ) -> SentMessage:
        filled = {NUMBER: number} | ({} if sender is None else {FROM: sender})
        body = {"msg_id": f"test-{len(self._ids) + 1}"} | {
            key: _fill(value, filled) for key, value in item.values.items() if key in MESSAGE_KEYS
        }
        body["timestamp"] = moment.replace(tzinfo=datetime.timezone.utc).timestamp()
        names = {"users": body.pop("usernames", None if sender is None else [sender])}
        names["packages"] = body.pop("packages", None)
        names["agent"] = [body.pop("agent")] if "agent" in body else None
        stated = {key: each for key, each in names.items() if each is not None}
        topic, msg_id = body.get("topic"), body["msg_id"]
        if not isinstance(topic, str):
            self._problems.add(item.place, "missing key 'topic' in a message")
        elif not fits_databases(topic):
            self._problems.add(item.place, f"{quoted(topic)} cannot be a topic")
        if msg_id in self._ids:
            text = f"another message has the msg_id {quoted(str(msg_id))}"
            self._problems.add(item.place, text)
        self._ids.add(msg_id)
        return SentMessage(body, {key: frozenset(map(str, each)) for key, each in stated.items()})


def _with_topic(item: Fields) -> dict[str, Any]:
    """Return the values of a message; a malformed topic is replaced."""
    if "topic" in item.places or ("like" in item.places and "like" not in item.values):
        return {"topic": _MISTAKEN, **item.values}
    return dict(item.values)


def _merge(base: Any, value: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(value, dict):
        return value
    return {**base, **{key: _merge(base.get(key), each) for key, each in value.items()}}


def _fill(value: Any, filled: Mapping[str, Any]) -> Any:
    if isinstance(value, Template):
        return value.fill(filled)
    if isinstance(value, dict):
        return {key: _fill(each, filled) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fill(each, filled) for each in value]
    return value
