"""What messages of a topic have: of the latest that are stored, or of samples in files."""

import contextlib
import datetime
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fedbadges.errors import DamagedRow, MissingValue, Place
from fedbadges.history.rows import parse_content
from fedbadges.history.topics import TopicHistory
from fedbadges.lint.findings import Finding
from fedbadges.lint.stale_topic import LONG
from fedbadges.messages import parse_message
from fedbadges.rules.names import names_in
from fedbadges.rules.recipients import account
from fedbadges.rules.templates import TemplatePath
from fedbadges.util.files import read_limited
from fedbadges.util.json_text import parse_json
from fedbadges.util.paths import nearest_path

#: How many messages of a topic are looked at, and how far into each.
LATEST = 200
_MOST_KEYS, _MOST_ITEMS, _MOST_LEVELS = 1000, 20, 20
#: Among how many paths the nearest is looked for.
_MOST_PATHS = 2000

#: How large a file in a directory may be.
_MAX_BYTES = 64 * 1024 * 1024

_NO_MESSAGE = "not a message, which is an object with a 'topic'"
_BLANKS = re.compile(r"[\s,]*")


class Shape(dict[str, "Shape"]):
    """What stands below a path in any of some messages: the keys, or the numbers of the items.

    ``names`` is the greatest number of people that a value at the path can name.
    """

    names = 0

    def add(self, value: Any, levels: int = _MOST_LEVELS) -> None:
        """Add what a message has here."""
        items: Iterable[tuple[str, Any]] = ()
        if isinstance(value, Mapping):
            items = value.items()
        elif isinstance(value, list):
            items = ((str(number), each) for number, each in enumerate(value[:_MOST_ITEMS]))
        self.names = max(self.names, _names(value))
        for key, each in items if levels else ():
            if key in self or len(self) < _MOST_KEYS:
                self.setdefault(key, Shape()).add(each, levels - 1)


@dataclass
class Sample:
    """Some messages of a topic: how many, what they have, and when the last was sent, if known."""

    topic: str
    count: int = 0
    shape: Shape = field(default_factory=Shape)
    last: datetime.datetime | None = None

    def add(self, content: Any) -> None:
        """Add a message with this content."""
        self.count += 1
        self.shape.add({"msg": content})

    def find(self, path: TemplatePath) -> Shape | None:
        """Return what stands below a path; None if no message has it."""
        with contextlib.suppress(MissingValue):
            found: Shape = path.resolve(self.shape)
            return found
        return None


class Samples(Protocol):
    """Messages by topic; ``described`` says which they are, with a place for their number."""

    described: str

    @property
    def topics(self) -> Collection[str]:
        """Return the topics; raise Unavailable."""

    def of(self, topic: str) -> Sample:
        """Return the messages of a topic; raise Unavailable."""


class LatestMessages:
    """The latest messages of each topic in datanommer's database."""

    described = "latest {} messages"

    def __init__(self, history: TopicHistory) -> None:
        self._history = history
        self._known: dict[str, Sample] = {}

    @property
    def topics(self) -> Collection[str]:
        """Return every topic."""
        return self._history.names

    def of(self, topic: str) -> Sample:
        """Return the latest messages of a topic, which are read once."""
        if topic not in self._known:
            sample = self._known[topic] = Sample(topic)
            for sent, text in self._history.latest(topic, LATEST):
                sample.last = sample.last or sent
                with contextlib.suppress(DamagedRow):
                    sample.add(parse_content(text))
        return self._known[topic]


class MessageFiles:
    """The messages of JSON files, each with one message or a list; ``mistakes`` are in others."""

    described = "{} sample messages"

    def __init__(self, directory: Path) -> None:
        self.mistakes: list[Finding] = []
        self._known: dict[str, Sample] = {}
        self._named = directory
        files = sorted(directory.rglob("*.json")) if directory.is_dir() else [directory]
        for path in files:
            for place, body in self._read(path):
                message = parse_message(body)
                if message is None or "msg" not in message.body:
                    self.mistakes.append(Finding(place, "bad-message", _NO_MESSAGE))
                else:
                    self._known.setdefault(message.topic, Sample(message.topic)).add(
                        message.body["msg"]
                    )

    @property
    def topics(self) -> Collection[str]:
        """Return the topics of the messages."""
        return self._known

    def of(self, topic: str) -> Sample:
        """Return the messages of a topic."""
        return self._known[topic]

    def _read(self, path: Path) -> Iterator[tuple[Place, Any]]:
        """Yield the messages of a file with their places."""
        try:
            text = self._text(path)
            whole = parse_json(text)
        except json.JSONDecodeError as error:
            self._add(Place(str(path), error.lineno, error.colno), f"not JSON: {error.msg}")
            return
        except OSError as error:
            self._add(Place(str(path), 1, 1), f"cannot be read: {error.strerror or error}")
            return
        except ValueError as error:
            self._add(Place(str(path), 1, 1), f"not JSON: {error}")
            return
        if not isinstance(whole, list):
            yield Place(str(path), 1, 1), whole
            return
        decoder, position = json.JSONDecoder(), text.index("[") + 1
        for body in whole:
            blanks = _BLANKS.match(text, position)
            start = blanks.end() if blanks else position
            before = text[:start]
            yield Place(str(path), before.count("\n") + 1, start - before.rfind("\n")), body
            _, position = decoder.raw_decode(text, start)

    def _text(self, path: Path) -> str:
        """Return the text of a file; raise OSError or ValueError."""
        if path == self._named:  # it may be a pipe
            return path.read_text("utf-8-sig")
        content = read_limited(path, _MAX_BYTES)
        if len(content) > _MAX_BYTES:
            raise OSError(f"the file has more than {_MAX_BYTES} bytes")
        return content.decode("utf-8-sig")

    def _add(self, place: Place, text: str) -> None:
        self.mistakes.append(Finding(place, "bad-message", text))


def samples_of(samples: Samples, matches: Callable[[str], bool]) -> list[Sample]:
    """Return the messages of each topic that matches, unless only others are still sent."""
    found = [samples.of(topic) for topic in samples.topics if matches(topic)]
    newest = max((sample.last for sample in found if sample.last), default=None)
    return [
        sample
        for sample in found
        if sample.count and (not newest or not sample.last or sample.last > newest - LONG)
    ]


def nearest(dotted: str, samples: Iterable[Sample], *, people: bool) -> str | None:
    """Return the path in messages that is most like another; with ``people``, one of names."""
    paths = {
        path: shape
        for path, shape in itertools.islice(_walk(samples), _MOST_PATHS)
        if shape.names or not people
    }
    near = nearest_path(dotted, frozenset(paths))
    # An object with a name stands for who has the name.
    within = f"{near}.name"
    return within if people and within in paths else near


def _walk(samples: Iterable[Sample]) -> Iterator[tuple[str, Shape]]:
    """Yield every path below ``msg`` with what stands there, the shortest first."""
    queue = deque(("msg", sample.shape["msg"]) for sample in samples)
    while queue:
        above, shape = queue.popleft()
        below = [(f"{above}.{key}", each) for key, each in shape.items()]
        yield from below
        queue.extend(below)


def _names(value: Any) -> int:
    """Return how many people a value can name; the keys of an object only if these are counted."""
    if isinstance(value, Mapping):
        named = isinstance(value.get("name"), str)
        if not named and not all(isinstance(each, (int, float)) for each in value.values()):
            return 0
        value = value if named else dict(itertools.islice(value.items(), _MOST_ITEMS))
    elif isinstance(value, list):
        value = value[:_MOST_ITEMS]
    return sum(account(each).name is not None for each in names_in(value))
