"""Old rules and messages, by a broker: the awards are those of one daemon on ZeroMQ."""

import datetime
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fedora_messaging.message import Message
from named_messages import named
from support.broker import Broker, BrokerBus, needs_broker
from support.builders import make_settings
from support.daemon import make_daemon
from support.databases import Databases, awards, sqlite_databases
from support.fm_consumer import FmDeployment
from support.hub import Hub
from support.stomp_hub import StompBus, StompDeployment
from support.waiting import eventually

import fedbadges.accounts.usernames

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"

pytestmark = [
    needs_broker,
    pytest.mark.slow,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not there"),
]

#: The plugin that names the users of these messages.
CONCERNED = Path(__file__).parents[1] / "support" / "concerned"

#: How often each is sent, so that something is earned by more than one.
TIMES = 10

KEYS = {"insecure_rules": True, "record_messages": True, "email_domain": "fedoraproject.org"}
SETTINGS = {f"badges.{name}": value for name, value in KEYS.items()} | {
    "badges.yaml.directory": str(CORPUS / "rules")
}


def entries() -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Yield messages that have candidates, and whom they concern, each as often as wanted."""
    pairs = yaml.safe_load((Path(__file__).parents[1] / "corpus/pairs.yaml").read_text())
    wanted = {
        group["message"]
        for group in pairs
        for _, found, _ in group["pairs"]
        if found and found != "no match"
    }
    corpus = [
        entry
        for entry in json.loads((CORPUS / "messages.json").read_text())
        if entry["name"] in wanted
    ]
    for number in range(TIMES):
        for index, entry in enumerate(corpus):
            changes = {
                "msg_id": f"2014-{index}-{number}",
                "timestamp": int(entry["message"].get("timestamp", 1_380_000_000)) + number,
            }
            yield entry["message"] | changes, entry["usernames"] or []


def on_fedora_messaging(body: Mapping[str, Any], users: Iterable[str]) -> Message:
    made = named(body["topic"], body["msg"], *users)
    sent = datetime.datetime.fromtimestamp(body["timestamp"], datetime.timezone.utc)
    made._headers["sent-at"] = sent.isoformat()
    made.id = body["msg_id"]
    return made


@pytest.fixture(scope="module")
def on_zeromq(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Return what a daemon awards for the same on ZeroMQ, where a plugin names the users."""
    known = {body["msg_id"]: users for body, users in entries()}
    ask: Mapping[str, Callable[..., Iterable[Any]]] = {
        "users": lambda body, **config: known[body["msg_id"]],
        "packages": lambda body, **config: (),
        "agent": lambda body, **config: (None,),
    }
    databases = sqlite_databases(tmp_path_factory.mktemp("zeromq"))
    settings = make_settings(databases, CORPUS / "rules", **KEYS, rank_interval=60)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(fedbadges.accounts.usernames, "_QUESTIONS", ask)
        daemon = make_daemon(settings)
        daemon.start()
        for body, _ in entries():
            daemon.handle(body)
        daemon.flush()
        daemon.stop()
    found = awards(databases)
    assert len({badge for _, badge in found}) > 5
    return found


@pytest.mark.parametrize("count", [1, 2, 4])
def test_old_rules_on_fedora_messaging_give_the_awards_of_a_daemon_on_zeromq(
    on_zeromq: list[tuple[str, str]],
    postgresql_database: Databases,
    bus: BrokerBus,
    tmp_path: Path,
    count: int,
) -> None:
    with FmDeployment(tmp_path / "fm", postgresql_database, bus, {}, SETTINGS) as deployment:
        bus.publish(*(on_fedora_messaging(*entry) for entry in entries()))
        daemons = [deployment.make() for _ in range(count)]
        for daemon in daemons:
            daemon.start()

        def announced() -> Counter[tuple[str, str]]:
            bodies = [each.body for each in bus.heard("badges.badge.award")]
            return Counter((b["user"]["username"], b["badge"]["badge_id"]) for b in bodies)

        check(postgresql_database, on_zeromq, daemons, bus, announced)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_old_rules_by_stomp_give_the_awards_of_a_daemon_on_zeromq(
    on_zeromq: list[tuple[str, str]],
    postgresql_database: Databases,
    broker: Broker,
    tmp_path: Path,
    count: int,
) -> None:
    bus = StompBus(broker)
    with StompDeployment(tmp_path / "hubs", postgresql_database, bus, {}, SETTINGS) as deployment:
        with bus.channel() as channel:
            channel.queue_bind(bus.queue, "amq.topic", "#")
            for body, users in entries():
                bus.send(channel, body["topic"], json.dumps(body | {"concerns": users}).encode())
            channel.queue_unbind(bus.queue, "amq.topic", "#")
        hubs = [deployment.make() for _ in range(count)]
        for hub in hubs:
            hub.python_path = CONCERNED
            hub.start()

        def announced() -> Counter[tuple[str, str]]:
            bodies = [each["msg"] for each in bus.heard() if "badge" in each["msg"]]
            return Counter((b["user"]["username"], b["badge"]["badge_id"]) for b in bodies)

        check(postgresql_database, on_zeromq, hubs, bus, announced)


def check(
    databases: Databases,
    expected: list[tuple[str, str]],
    hubs: Iterable[Hub],
    bus: BrokerBus | StompBus,
    announced: Callable[[], Counter[tuple[str, str]]],
) -> None:
    """Raise AssertionError if these awards are not given, and announced, each once."""
    eventually(lambda: awards(databases) == expected, "the same awards")
    eventually(lambda: not bus.waiting(), "all messages")
    eventually(lambda: announced() == Counter(expected), "all notices")
    for hub in hubs:
        assert hub.stop() == 0
        hub.check_log()
    assert awards(databases) == expected
