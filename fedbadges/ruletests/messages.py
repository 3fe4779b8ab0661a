"""The messages of a test: one template stands for several, sent one after the other."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedbadges.errors import MissingValue, Place
from fedbadges.messages import fits_databases
from fedbadges.rules.moments import to_moment
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import Template
from fedbadges.ruletests.format import FROM, MAX_MESSAGES, NUMBER
from fedbadges.util.text import quoted

#: The keys whose mappings are merged with those of the message that is 'like' it.
_MERGED = ("msg", "headers")


@dataclass(frozen=True)
class SentMessage:
    """A message of a test; ``names`` has the users, the agent and the packages that it states."""

    body: Mapping[str, Any]
    names: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class MessageTemplate:
    """``count`` messages from each of the ``senders``; with texts to be filled in."""

    place: Place
    fields: Mapping[str, Any]
    senders: tuple[str, ...] = ()
    count: int = 1
    every: datetime.timedelta = datetime.timedelta(minutes=1)


def merge(base: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message that is like another one, ``base``."""
    merged = {
        key: _merge(base[key], fields[key]) for key in _MERGED if key in base and key in fields
    }
    return {**base, **fields, **merged}


class MessageBuilder:
    """Builds the messages of one test, and reports those that could never be sent."""

    def __init__(self, now: datetime.datetime, problems: Problems) -> None:
        self._now = self._clock = now
        self._problems = problems
        self._left = MAX_MESSAGES
        self._ids: set[object] = set()

    def past(self, templates: Iterable[MessageTemplate]) -> tuple[SentMessage, ...]:
        """Build what was sent before now: in this order, and the last just before."""
        groups: list[tuple[SentMessage, ...]] = []
        until = self._now
        for template in reversed(list(templates)):
            try:
                start = self._start(template)
                if start is None:
                    start = until = until - template.count * template.every
                groups.append(self._build(template, start))
            except OverflowError:
                self._report_time(template)
        return tuple(sent for group in reversed(groups) for sent in group)

    def incoming(self, template: MessageTemplate) -> tuple[SentMessage, ...]:
        """Build what is sent now, and after what was built before."""
        try:
            start = self._start(template) or self._clock
            self._clock = start + template.count * template.every
            return self._build(template, start)
        except OverflowError:
            self._report_time(template)
            return ()

    def _start(self, template: MessageTemplate) -> datetime.datetime | None:
        timestamp = template.fields.get("timestamp")
        return None if timestamp is None else to_moment(timestamp.value, self._now)

    def _report_time(self, template: MessageTemplate) -> None:
        self._problems.add(template.place, "sent at a time that no calendar has")

    def _build(
        self, template: MessageTemplate, start: datetime.datetime
    ) -> tuple[SentMessage, ...]:
        self._left -= template.count * max(1, len(template.senders))
        if self._left < 0:
            text = f"with these, the test has more than {MAX_MESSAGES} messages"
            self._problems.add(template.place, text)
            return ()
        try:
            return tuple(
                self._message(template, start + number * template.every, number + 1, sender)
                for number in range(template.count)
                for sender in template.senders or (None,)
            )
        except MissingValue:
            text = f"a text has %({FROM})s, and no '{FROM}' says whom the message is from"
            self._problems.add(template.place, text)
            return ()

    def _message(
        self, template: MessageTemplate, moment: datetime.datetime, number: int, sender: str | None
    ) -> SentMessage:
        values = {NUMBER: number} | ({} if sender is None else {FROM: sender})
        fields = {key: _fill(value, values) for key, value in template.fields.items()}
        names = {"users": fields.pop("usernames", None if sender is None else [sender])}
        names["packages"] = fields.pop("packages", None)
        names["agent"] = [fields.pop("agent")] if "agent" in fields else None
        body = {
            "msg": {},
            "i": 1,
            "msg_id": f"test-{len(self._ids) + 1}",
            **fields,
            "timestamp": moment.replace(tzinfo=datetime.timezone.utc).timestamp(),
        }
        topic, msg_id = body.get("topic"), body["msg_id"]
        if not isinstance(topic, str):
            self._problems.add(template.place, "missing key 'topic' in a message")
        elif not fits_databases(topic):
            self._problems.add(template.place, f"{quoted(topic)} can be no topic")
        if msg_id in self._ids:
            text = f"another message has the msg_id {quoted(str(msg_id))}"
            self._problems.add(template.place, text)
        self._ids.add(msg_id)
        return SentMessage(
            body,
            {key: frozenset(map(str, each)) for key, each in names.items() if each is not None},
        )


def _merge(base: Any, value: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(value, dict):
        return value
    return {**base, **{key: _merge(base.get(key), each) for key, each in value.items()}}


def _fill(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, Template):
        return value.fill(values)
    if isinstance(value, dict):
        return {key: _fill(each, values) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_fill(each, values) for each in value]
    return value
