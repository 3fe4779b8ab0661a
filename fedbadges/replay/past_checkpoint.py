"""The checkpoint of a pass over the past, so that the next process goes on where this one ended.

It lies in the file of counts, in parts, and is lost with that. What refers to the parts is written
after them, and the parts of the checkpoint before are kept until then: so a crash at any moment
leaves a whole one, or none.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import itertools
import json
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fedbadges.history.horizon import Base
from fedbadges.history.kept.file import Entry
from fedbadges.history.kept.region import Kept
from fedbadges.history.kept.text import make_entry, read_entry
from fedbadges.replay.past_rows import Place

#: How many values are in a part, and how many characters in all parts.
_PART = 500
_MOST_CHARACTERS = 64 * 1024**2

_SLOTS = ("a", "b")


@dataclass(frozen=True)
class Reached:
    """Up to which place the messages of a base are counted: ``done`` of ``total``."""

    base: Base
    place: Place
    done: int
    total: int


@dataclass(frozen=True)
class _Saved:
    """What refers to the parts of a checkpoint."""

    reached: Reached
    questions: str
    slot: str
    name: str
    parts: int

    def entry(self) -> Entry:
        """Return what the file keeps of it."""
        reached = self.reached
        place = [_plain_time(reached.place.raw_timestamp), reached.place.id]
        content = [place, reached.done, reached.total]
        return make_entry(
            reached.base, [*content, self.questions, self.slot, self.name, self.parts]
        )

    @staticmethod
    def of(entry: Entry) -> _Saved | None:
        """Return that of an entry, unless it says that there is none; raise DamagedCounts."""

        def make(base: Base | None, content: Any) -> _Saved | None:
            if base is None:
                return None
            place, done, total, *others = content
            return _Saved(Reached(base, Place(*place), done, total), *others)

        return read_entry(entry, make)


class PastCheckpoint:
    """Keeps how far the pass is that counts what these questions ask, if there is a file."""

    def __init__(self, kept: Kept | None, questions: Iterable[str]) -> None:
        self._kept = kept
        self._epoch = "" if kept is None else kept.epoch
        text = repr(sorted(set(questions)))
        self._questions = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
        self._saved = None if kept is None else kept.read(_key(), _Saved.of)

    def reached(self) -> Reached | None:
        """Return how far the pass of these questions was; None if there is none."""
        saved = self._saved
        return None if saved is None or saved.questions != self._questions else saved.reached

    def parts(self) -> Iterator[list[Any]]:
        """Yield what was written then, in parts; raise LookupError if one is lost."""
        saved, kept = self._saved, self._kept
        if saved is None or kept is None:
            return
        parse = partial(_parse, saved.name)
        for number in range(saved.parts):
            part = kept.read(_key(saved.slot, number), parse)
            if part is None:
                raise LookupError(number)
            yield part

    def write(self, reached: Reached, values: Iterable[Any]) -> Iterator[None]:
        """Write how far it is, and plain values; yield after each small part of the work."""
        kept = self._kept
        if kept is None or not kept.has_file:
            return
        before = self._saved
        if before is not None and kept.read(_key(), _Saved.of) != before:
            return  # That waits to be written, and its parts have to stay.
        slot = _SLOTS[0] if before is None or before.slot == _SLOTS[1] else _SLOTS[1]
        name = uuid.uuid4().hex
        texts: list[str] = []
        remaining, size = iter(values), 0
        while part := list(itertools.islice(remaining, _PART)):
            try:
                texts.append(_text(name, part))
            except TypeError:  # bytes in the place of a topic, such as SQLite can have
                return
            size += len(texts[-1])
            if size > _MOST_CHARACTERS:
                return
            yield
        for number, text in enumerate(texts):
            kept.note(_key(slot, number), _Text(text), self._epoch)
        self._saved = _Saved(reached, self._questions, slot, name, len(texts))
        kept.note(_key(), self._saved, self._epoch)

    def drop(self) -> None:
        """Forget it, once the pass is over."""
        if self._kept is None or self._saved is None:
            return
        self._kept.note(_key(), _Nothing(), self._epoch)
        for slot, number in itertools.product(_SLOTS, range(self._saved.parts)):
            self._kept.note(_key(slot, number), _Nothing(), self._epoch)
        self._saved = None


@dataclass(frozen=True)
class _Text:
    text: str

    def entry(self) -> Entry:
        """Return what the file keeps of it."""
        return Entry(self.text, "")


class _Nothing:
    def entry(self) -> Entry:
        """Return what the file keeps of it."""
        return make_entry(None, None)


def _key(*part: object) -> str:
    return "-".join(map(str, ("fedbadges-past", *part)))


def _text(name: str, part: list[Any]) -> str:
    compressed = zlib.compress(json.dumps(part).encode(), 1)
    return f"{name} {base64.b64encode(compressed).decode()}"


def _parse(name: str, entry: Entry) -> list[Any]:
    """Return a part; raise ValueError if it is of another checkpoint."""
    found, _, content = entry.value.partition(" ")
    if found != name:
        raise ValueError(found)
    part: list[Any] = json.loads(zlib.decompress(base64.b64decode(content)))
    return part


def _plain_time(raw_timestamp: Any) -> Any:
    if isinstance(raw_timestamp, datetime.datetime):
        return raw_timestamp.isoformat(" ")
    return raw_timestamp
