"""Several that award the same badges at once: hubs, and workers in one hub."""

import copy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bus import Bus
from support.databases import Databases, badges
from support.deployment import make_hub, run_hubs
from support.hub import LOGGING
from support.rules import counting_rule
from support.waiting import eventually

pytestmark = pytest.mark.slow

RULES = {"once": counting_rule("Once", "logger.once", 1)}
PEOPLE = [f"person{number}" for number in range(30)]


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


def announced(bus: Bus) -> Counter[str]:
    """Return how often each person's badge was announced."""
    awards = bus.heard("fedbadges.badge.award", lambda msg: msg["badge"]["badge_id"] == "once")
    return Counter(award["msg"]["user"]["username"] for award in awards)


def test_two_hubs_on_one_database_award_each_badge_once(
    database: Databases, bus: Bus, tmp_path: Path
) -> None:
    # Only one hub knows the last rule of each: when that awards, this hub has handled it all.
    hubs = [
        make_hub(
            tmp_path / name,
            database,
            bus,
            RULES | {"last": counting_rule(f"Last of {name}", "logger.last", 1)},
        )
        for name in ("one", "two")
    ]
    with run_hubs(bus, *hubs):
        for person in PEOPLE:
            bus.publish("logger.once", username=person)
        bus.publish("logger.last", username="zoe")
        bus.wait_for_award("zoe", "last-of-one")
        bus.wait_for_award("zoe", "last-of-two")
        # What one hub catches up of what the other has stored is not in this order.
        eventually(lambda: len(announced(bus)) == len(PEOPLE), "all awards announced")

        assert announced(bus) == Counter(PEOPLE)
    assert all(set(badges(database, person)) == {"once"} for person in PEOPLE)


def test_several_workers_in_one_hub_award_each_badge_once(
    database: Databases, bus: Bus, tmp_path: Path
) -> None:
    logging = copy.deepcopy(LOGGING)
    logging["loggers"]["moksha.hub"] = {"level": "DEBUG"}  # says when a message is handled
    settings = {"moksha.workers_per_consumer": 4, "logging": logging}
    each = 4
    hub = make_hub(tmp_path / "hub", database, bus, RULES, settings)
    with run_hubs(bus, hub):
        for person in PEOPLE:
            for _ in range(each):
                bus.publish("logger.once", username=person)
        # Among them its own announcements, one a person.
        expected = len(PEOPLE) * (each + 1)
        eventually(
            lambda: len(hub.logged("DEBUG", "Message handled: True")) >= expected,
            f"{expected} messages handled",
        )
        eventually(lambda: len(announced(bus)) == len(PEOPLE), "all awards announced")

        assert announced(bus) == Counter(PEOPLE)
    assert all(set(badges(database, person)) == {"once"} for person in PEOPLE)
