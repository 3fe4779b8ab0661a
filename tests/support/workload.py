"""A random workload of many people, and the awards to expect from it.

The awards are worked out from the messages alone: nothing here uses the code under test.
"""

import itertools
import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from support.bus import PREFIX
from support.every_kind import COLOURS
from support.rules import counting_rule, rule

PEOPLE = [f"user{number:02d}" for number in range(60)]

THRESHOLDS = (1, 5, 20, 100)

LONG = 400
"""From this length on, an edit counts as a long one."""

LONG_EDITS = 3

MEETINGS = 4


@dataclass(frozen=True)
class SentMessage:
    """One message, and the users whom datanommer notes for it."""

    body: dict
    users: tuple[str, ...]


class Workload:
    """Makes messages of now; the same seed makes the same ones, but for the time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        # A few do most of it, so that everybody is somewhere between the thresholds.
        self._weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(PEOPLE))))

    def messages(self, count: int) -> Iterator[SentMessage]:
        """Make so many messages, each at the moment at which it is asked for."""
        kinds = (self.step, self._edit, self._meeting, self._noise)
        for kind in self._random.choices(kinds, weights=(30, 8, 7, 55), k=count):
            yield kind()

    def step(self, name: str | None = None) -> SentMessage:
        """Make a message of one step, of somebody if nobody is named."""
        name = name or self._somebody()
        msg = {"log": self._text(60), "colour": self._random.choice(COLOURS)}
        return self._made("logger.step", msg, (name,))

    def _edit(self) -> SentMessage:
        name = self._somebody()
        msg = {"user": name, "summary": self._text(80), "length": self._random.randrange(500)}
        return self._made("wiki.edit", msg, (name,))

    def _meeting(self) -> SentMessage:
        names = {self._somebody() for _ in range(self._random.randint(1, 4))}
        present = tuple(sorted(names))
        return self._made("meetbot.complete", {"present": list(present)}, present)

    def _noise(self) -> SentMessage:
        topic = self._random.choice(("buildsys.build.state", "git.receive", "logger.other"))
        msg = {"package": self._text(10), "output": self._text(self._random.randrange(1500))}
        return self._made(topic, msg, (self._somebody(),))

    def _somebody(self) -> str:
        return self._random.choices(PEOPLE, cum_weights=self._weights)[0]

    def _text(self, length: int) -> str:
        return f"{self._random.getrandbits(4 * length + 4):x}"[:length]

    def _made(self, topic: str, msg: dict, users: tuple[str, ...]) -> SentMessage:
        body = {
            "topic": f"{PREFIX}.{topic}",
            "msg": msg,
            "msg_id": f"2026-{uuid.UUID(int=self._random.getrandbits(128))}",
            "timestamp": time.time(),
            "i": 1,
            "username": users[0],
        }
        return SentMessage(body, users)


def workload_rules() -> dict[str, str]:
    """Return rules for the workload, one of which nobody ever fulfils."""
    steps = {
        f"steps-{number}": counting_rule(f"Steps {number}", "logger.step", number)
        for number in THRESHOLDS
    }
    return steps | {
        "steps-endless": counting_rule("Steps Endless", "logger.step", 10**9),
        "long-edits": rule(
            "Long Edits",
            f"""
trigger:
  topic: wiki.edit
criteria:
  datanommer:
    filter:
      topics: ["%(topic)s"]
      users: ["%(msg.user)s"]
    operation:
      lambda: len([m for m in query.all() if m.msg['length'] >= {LONG}])
    condition:
      greater than or equal to: {LONG_EDITS}
recipient: "%(msg.user)s"
""",
        ),
        "meetings": rule(
            "Meetings",
            f"""
trigger:
  topic: meetbot.complete
criteria:
  datanommer:
    filter:
      topics: ["%(topic)s"]
      users: ["%(recipient)s"]
    operation: count
    condition:
      greater than or equal to: {MEETINGS}
recipient: "%(msg.present)s"
""",
        ),
    }


def expected_awards(messages: Iterable[SentMessage]) -> set[tuple[str, str]]:
    """Return who is to have which badge when all this has happened."""
    steps: Counter[str] = Counter()
    edits: Counter[str] = Counter()
    meetings: Counter[str] = Counter()
    counters: dict[str, Counter[str]] = defaultdict(Counter)
    counters |= {"logger.step": steps, "wiki.edit": edits, "meetbot.complete": meetings}
    for each in messages:
        topic = each.body["topic"].removeprefix(f"{PREFIX}.")
        if topic == "wiki.edit" and each.body["msg"]["length"] < LONG:
            continue
        counters[topic].update(each.users)
    return {
        *(
            (name, f"steps-{number}")
            for number in THRESHOLDS
            for name in steps
            if steps[name] >= number
        ),
        *((name, "long-edits") for name in edits if edits[name] >= LONG_EDITS),
        *((name, "meetings") for name in meetings if meetings[name] >= MEETINGS),
    }
