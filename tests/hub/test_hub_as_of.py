"""Awards depend on the messages alone, be they caught up or come all at once or one by one."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest
from support.builders import make_settings
from support.bus import PREFIX, Bus
from support.databases import Databases, Postgresql, awards
from support.deployment import make_hub, run_hubs
from support.histories import PastMessage, Storage
from support.hub import Hub
from support.rules import counting_rule, rule
from support.waiting import eventually

DAY = 86_400.0
MONTH = 30 * DAY

STEPPERS = [f"stepper{number:02d}" for number in range(20)]
STEPS = 12

EDITORS = [f"editor{number}" for number in range(5)]
"""Who edit every four days."""

EDITS = 6

DILIGENT = "diligent"
"""Who edits every day."""


def steps(condition: str) -> str:
    return f"""
trigger: {{topic: test.step}}
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(msg.user)s"]}}
  operation: count
  condition: {{{condition}}}
recipient: "%(msg.user)s"
"""


RULES = {
    "tenth": rule("Tenth", steps("equal to: 10")),
    "every-tenth": rule("Every Tenth", steps("lambda: value % 10 == 0")),
    "beginner": rule("Beginner", steps("less than: 3")),
    "week": rule(
        "Week",
        """
trigger: {topic: test.edit}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(msg.user)s"], start: 7 days ago}
  operation: count
  condition: {greater than or equal to: 4}
recipient: "%(msg.user)s"
""",
    ),
    "last": counting_rule("Last", "logger.last", 1),
}

EXPECTED = {
    "tenth": STEPPERS,
    "every-tenth": STEPPERS,
    "beginner": STEPPERS,
    "week": [DILIGENT],
}

Round = list[PastMessage]


def rounds() -> list[Round]:
    """Return what happened in the last month, of each person at most one message in a round."""
    begin = time.time() - EDITS * 4 * DAY
    found: list[Round] = []

    def add(topic: str, name: str, sent: float) -> None:
        moment = datetime.fromtimestamp(sent, timezone.utc).replace(tzinfo=None)
        found[-1].append(
            PastMessage(0, moment, f"{PREFIX}.{topic}", {"user": name}, (name,), agent=name)
        )

    for number in range(max(STEPS, EDITS)):
        found.append([])
        for minute, name in enumerate(STEPPERS if number < STEPS else ()):
            add("test.step", name, begin + number * DAY + minute * 60)
        for minute, name in enumerate(EDITORS if number < EDITS else ()):
            add("test.edit", name, begin + number * 4 * DAY + minute * 60)
        if number < EDITS:
            add("test.edit", DILIGENT, begin + number * DAY)
    return found


class Play:
    """A hub, and a datanommer that has stored each message before the hub hears of it."""

    def __init__(self, directory: Path, databases: Databases) -> None:
        self.databases = databases
        self.bus = Bus()
        self.state = directory / "state"
        settings = {
            "badges.record_messages": False,
            "badges.state_directory": str(self.state),
            "badges.catchup_limit": 2 * MONTH,
            "badges.reload": False,
        }
        self.hub: Hub = make_hub(directory, databases, self.bus, RULES, settings)
        self._storage = Storage(make_settings(databases, directory / "rules"))
        self._last = 0

    def store(self, messages: Sequence[PastMessage]) -> list[dict]:
        """Store messages, and return them as they go over the bus."""
        first = self._last + 1
        self._last += len(messages)
        numbered = [
            PastMessage(n, each.sent, each.topic, each.msg, each.users, agent=each.agent)
            for n, each in enumerate(messages, first)
        ]
        self._storage.store(numbered)
        return [
            {
                "topic": each.topic,
                "msg": each.msg,
                "msg_id": each.id,
                "timestamp": each.sent.replace(tzinfo=timezone.utc).timestamp(),
                "i": 1,
                "username": each.agent,
            }
            for each in numbered
        ]

    def publish(self, messages: Sequence[PastMessage]) -> None:
        for body in self.store(messages):
            self.bus.send(body)

    def finish(self) -> None:
        """Return when all that was published before is handled, as it is done in order."""
        now, name = datetime.now(timezone.utc).replace(tzinfo=None), f"last{self._last}"
        self.publish([PastMessage(0, now, f"{PREFIX}.logger.last", {}, (name,), agent=name)])
        eventually(lambda: (name, "last") in awards(self.databases), "the last message is handled")


def quiet_bus(play: Play) -> Iterator[None]:
    with run_hubs(play.bus, play.hub):
        play.hub.wait_for_log("INFO", "Caught up count=")
        for each in rounds():
            play.publish(each)
            play.finish()
        yield


def all_at_once(play: Play) -> Iterator[None]:
    everything = [message for each in rounds() for message in each]
    with run_hubs(play.bus, play.hub):
        play.hub.wait_for_log("INFO", "Caught up count=")
        for name in dict.fromkeys(message.agent for message in everything):
            play.publish([message for message in everything if message.agent == name])
        play.finish()
        yield


def caught_up(play: Play) -> Iterator[None]:
    play.state.mkdir(mode=0o700)
    (play.state / "checkpoint").write_text(json.dumps({"until": time.time() - MONTH}))
    play.store([message for each in rounds() for message in each])
    with run_hubs(play.bus, play.hub):
        play.hub.wait_for_log("INFO", "Caught up count=")
        play.finish()
        yield


Ways = Callable[[Play], Iterator[None]]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(quiet_bus, marks=pytest.mark.slow),
        pytest.param(all_at_once, marks=pytest.mark.slow),
        caught_up,
    ],
    ids=lambda way: way.__name__.replace("_", " "),
)
def played(
    request: pytest.FixtureRequest,
    postgresql: Postgresql,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Play]:
    """Return what a month of messages came to, by one of the ways in which they come."""
    way: Ways = request.param
    databases = postgresql.create_databases()
    play = Play(tmp_path_factory.mktemp("hub"), databases)
    try:
        for _ in way(play):
            yield play
    finally:
        play.bus.close()
        postgresql.drop_databases(databases)


@pytest.mark.parametrize("badge", list(EXPECTED))
def test_badge_depends_on_the_messages_alone(played: Play, badge: str) -> None:
    awarded = [name for name, held in awards(played.databases) if held == badge]

    assert awarded == sorted(EXPECTED[badge])
