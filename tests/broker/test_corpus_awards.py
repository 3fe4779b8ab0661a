"""Old rules and messages, on fedora-messaging: the awards are those of a daemon on ZeroMQ."""

import datetime
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from fedora_messaging.message import Message
from named_messages import named
from support.broker import BrokerBus, needs_broker
from support.builders import make_settings
from support.daemon import make_daemon
from support.databases import Databases, awards, sqlite_databases
from support.fm_consumer import fm_deployment
from support.waiting import eventually

import fedbadges.accounts.usernames

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"

pytestmark = [
    needs_broker,
    pytest.mark.slow,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not there"),
]

#: How often each is sent, so that something is earned by more than one.
TIMES = 30

KEYS = {"insecure_rules": True, "record_messages": True, "email_domain": "fedoraproject.org"}


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


@pytest.fixture
def on_zeromq(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return what a daemon awards for the same on ZeroMQ, where a plugin names the users."""
    known = {body["msg_id"]: users for body, users in entries()}
    ask: Mapping[str, Callable[..., Iterable[Any]]] = {
        "users": lambda body, **config: known[body["msg_id"]],
        "packages": lambda body, **config: (),
        "agent": lambda body, **config: (None,),
    }
    monkeypatch.setattr(fedbadges.accounts.usernames, "_QUESTIONS", ask)
    databases = sqlite_databases(tmp_path)
    settings = make_settings(databases, CORPUS / "rules", **KEYS, rank_interval=60)
    daemon = make_daemon(settings)
    daemon.start()
    for body, _ in entries():
        daemon.handle(body)
    daemon.flush()
    daemon.stop()
    return awards(databases)


def test_old_rules_give_the_awards_of_a_daemon_on_zeromq(
    on_zeromq: list[tuple[str, str]],
    postgresql_database: Databases,
    bus: BrokerBus,
    tmp_path: Path,
) -> None:
    assert len({badge for _, badge in on_zeromq}) > 5
    keys = {f"badges.{name}": value for name, value in KEYS.items()}
    keys["badges.yaml.directory"] = str(CORPUS / "rules")
    with fm_deployment(tmp_path / "fm", postgresql_database, bus, {}, keys) as deployment:
        deployment.bus.publish(*(on_fedora_messaging(*entry) for entry in entries()))
        daemons = [deployment.start(), deployment.start()]

        eventually(lambda: awards(deployment.databases) == on_zeromq, "the same awards")
        eventually(lambda: not bus.waiting(), "all messages")
        for daemon in daemons:
            assert daemon.stop() == 0
            daemon.check_log()
    assert awards(deployment.databases) == on_zeromq
