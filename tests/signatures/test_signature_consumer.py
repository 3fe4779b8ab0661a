"""How the hub's consumer verifies messages: each message once, before anything is made of it."""

import datetime
import json
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_config
from support.bus import fedmsg_body
from support.certificates import DAY, NOW, authority, replaced
from support.databases import badges, sqlite_databases, store_message
from support.rules import counting_rule, write_rules
from support.waiting import TIMEOUT, eventually

from fedbadges.config.settings import ENABLED
from fedbadges.consumers import FedoraBadgesConsumer
from fedbadges.errors import Rejected
from fedbadges.signatures.verifier import Verifier


class Hub:
    """A stand-in for the hub of a consumer that is called directly."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def subscribe(self, topic: str, callback: Any) -> None:
        """Subscribe to nothing."""

    def close(self) -> None:
        """Close nothing."""


class Site:
    """A consumer whose worker threads do not run, with the CA that it knows."""

    def __init__(self, directory: Path, **config: Any) -> None:
        self.ca = authority()
        self.app = self.ca.issue("app01")
        self.crl_file = directory / "crl.pem"
        self.crl_file.write_bytes(self.ca.revoking())
        (directory / "ca.crt").write_bytes(self.ca.pem)
        self.databases = sqlite_databases(directory)
        write_rules(directory / "rules", {"first": counting_rule("First", "logger.first", 1)})
        keys = {"record_messages": True, "reload": False}
        self.config = make_config(self.databases, directory / "rules") | {
            ENABLED: True,
            "zmq_enabled": True,
            "endpoints": {},
            "validate_signatures": True,
            "ca_cert_location": str(directory / "ca.crt"),
            "crl_location": str(self.crl_file),
            **{f"badges.{name}": value for name, value in keys.items()},
        }
        self.consumer = FedoraBadgesConsumer(Hub(self.config | config))

    def message(self, username: str) -> dict[str, Any]:
        """Returns a message as the hub has it."""
        body = self.app.signed(fedmsg_body("logger.first", {}, username))
        return {"topic": body["topic"], "body": body}

    def has_badge(self, username: str) -> bool:
        return bool(badges(self.databases, username))


@pytest.fixture(params=["queued", "blocking"])
def blocking(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "blocking")


@pytest.fixture
def site(tmp_path: Path, blocking: bool) -> Iterator[Site]:
    site = Site(tmp_path, **{"moksha.blocking_mode": blocking})
    yield site
    site.consumer.stop()
    assert site.consumer._daemon is not None
    site.consumer._daemon.stop()


def hand_over(site: Site, message: dict[str, Any]) -> Any:
    """Pass a message to the consumer, as the hub and its worker threads do."""
    handled = site.consumer._consume(message)
    if site.consumer.blocking_mode:
        return handled
    return site.consumer._do_work(site.consumer.incoming.get_nowait())


def test_consumer_verifies_each_message_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Any] = []
    check = Verifier.verify_now

    def count(self: Verifier, body: Any, envelope: Any) -> None:
        checked.append(body["msg_id"])
        check(self, body, envelope)

    monkeypatch.setattr(Verifier, "verify_now", count)
    message = site.message("ann")

    assert hand_over(site, message) is True

    assert checked == [message["body"]["msg_id"]]
    assert site.has_badge("ann")


def test_message_with_a_wrong_signature_is_rejected_and_acknowledged(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    message = site.message("mallory")
    message["body"]["msg"] = {"n": 1}

    assert hand_over(site, message) is True

    assert not site.has_badge("mallory")
    (line,) = [r.getMessage() for r in caplog.records if "signatures" in r.name][-1:]
    assert message["body"]["msg_id"] in line
    assert "its signature does not match its content" in line


def test_malformed_message_is_acknowledged(site: Site) -> None:
    for body in (None, "text", 5, [], {}, {"topic": None}):
        for topic in ("a.b", None):
            assert hand_over(site, {"topic": topic, "body": body}) is True


def test_messages_of_the_fedmsg_backlog_are_verified(site: Site) -> None:
    """fedmsg puts it into the queue past what comes from the bus."""
    message = site.message("mallory")
    message["body"]["msg"] = {"n": 1}

    site.consumer.incoming.put(message)
    site.consumer._do_work(site.consumer.incoming.get_nowait())

    assert not site.has_badge("mallory")


def test_messages_caught_up_from_datanommer_are_verified(tmp_path: Path) -> None:
    site = Site(tmp_path, **{"badges.record_messages": False, "badges.sweep_interval": 0.05})
    forger = authority("Forged CA", 1).issue("app01")
    try:
        for name, sender in (("mallory", forger), ("ann", site.app)):
            body = fedmsg_body("logger.first", {}, name) | {"timestamp": int(time.time())}
            store_message(site.databases, sender.signed(body), [name])

        eventually(lambda: site.has_badge("ann"), "the badge")
        assert not site.has_badge("mallory")
    finally:
        site.consumer.stop()
        assert site.consumer._daemon is not None
        site.consumer._daemon.stop()


def test_validate_raises_rejected_for_a_wrong_signature(site: Site) -> None:
    """Other code that has a consumer of fedmsg calls this method."""
    message = site.message("ann")
    site.consumer.validate(message)

    message["body"]["msg"] = {"n": 1}

    with pytest.raises(Rejected):
        site.consumer.validate(message)


def at_a_time(site: Site, moment: datetime.datetime) -> None:
    """Verify certificates by another time than now."""
    verifier = site.consumer._verifier
    assert verifier is not None
    assert verifier._authorities is not None
    verifier._authorities._clock = lambda: moment


def test_message_that_cannot_be_verified_is_not_handled_at_the_stop(site: Site) -> None:
    at_a_time(site, NOW + 6 * DAY)
    site.consumer._drain()

    assert hand_over(site, site.message("ann")) is False

    assert not site.has_badge("ann")


@pytest.mark.parametrize("blocking", [False])
def test_messages_wait_for_a_new_revocation_list(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.consumer._consume(site.message("bob"))
    site.consumer._consume(site.message("ann"))
    # It is put off, since another comes right after it.
    site.consumer._do_work(site.consumer.incoming.get_nowait())
    at_a_time(site, NOW + 6 * DAY)

    worker = threading.Thread(
        target=lambda: site.consumer._do_work(site.consumer.incoming.get_nowait())
    )
    worker.start()
    eventually(lambda: "Waiting for an outage to end" in caplog.text, "a warning")
    assert not site.has_badge("ann")
    eventually(lambda: site.has_badge("bob"), "the badge for the message before")
    told = site.consumer.__json__()["fedbadges"]["signatures"]
    assert told["checked"]
    assert told["trouble"].startswith("signatures cannot be checked: ")

    replaced(site.crl_file, site.ca.revoking(end=NOW + 8 * DAY))
    worker.join(TIMEOUT)

    assert site.has_badge("ann")
    told = site.consumer.__json__()["fedbadges"]["signatures"]
    assert told == {"checked": True, "trouble": None}


@pytest.mark.parametrize("blocking", [False])
def test_hub_exits_although_a_verification_hangs(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, ended = threading.Event(), threading.Event()
    monkeypatch.setattr(Verifier, "verify_now", lambda *arguments: answer.wait(TIMEOUT))
    monkeypatch.setattr("fedbadges.buses.fedmsg.consumer._STOP_TIMEOUT", 0.1)
    monkeypatch.setattr("fedbadges.buses.loading.os._exit", lambda code: ended.set())
    site.consumer._consume(site.message("ann"))
    worker = threading.Thread(
        target=lambda: site.consumer._do_work(site.consumer.incoming.get_nowait())
    )
    worker.start()
    eventually(lambda: site.consumer._verifier.is_stuck(0), "the check")

    end = threading.Thread(target=site.consumer._end, args=[site.consumer._daemon])
    end.start()
    assert ended.wait(TIMEOUT)

    answer.set()
    worker.join()
    end.join()


@pytest.mark.parametrize("blocking", [False])
def test_queue_measures_messages_from_zeromq_and_stomp(site: Site) -> None:
    as_zeromq_has_it = types.SimpleNamespace(topic="a.b", body='{"topic": "a.b", "msg": {}}')
    site.consumer._consume_json(as_zeromq_has_it)
    # With what Python needs for two objects.
    zeromq = 27 + 2 * 64
    assert site.consumer.incoming.size == zeromq

    # As STOMP's client hands it over.
    site.consumer._consume({"topic": "a.b", "body": {"msg": "x" * 100}, "headers": {}})
    assert site.consumer.incoming.size == zeromq + 111 + 64


@pytest.mark.parametrize("blocking", [False])
def test_of_a_key_that_is_sent_twice_the_signature_covers_what_rules_see(site: Site) -> None:
    body = site.message("ann")["body"]
    text = json.dumps(body)
    before = '{"username": "mallory", ' + text[1:]
    behind = text[:-1] + ', "username": "mallory"}'
    assert [json.loads(each)["username"] for each in (before, behind)] == ["ann", "mallory"]
    for each in (before, behind):
        site.consumer._consume_json(types.SimpleNamespace(topic=body["topic"], body=each))
        site.consumer._do_work(site.consumer.incoming.get_nowait())

    assert site.has_badge("ann")
    assert not site.has_badge("mallory")


@pytest.mark.parametrize("blocking", [False])
@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "1e999", "9" * 4_000, '"\\ud800"', '{"a": 1, "a": 2}']
)
def test_odd_values_in_json_are_signed_and_handled(site: Site, value: str) -> None:
    sent = fedmsg_body("logger.first", {"x": json.loads(value)}, "ann")
    text = json.dumps(site.app.signed(sent))

    site.consumer._consume_json(types.SimpleNamespace(topic=sent["topic"], body=text))
    site.consumer._do_work(site.consumer.incoming.get_nowait())

    assert site.has_badge("ann")


@pytest.mark.parametrize("blocking", [False])
@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"x": %s}' % ("9" * 5_000)])
def test_what_is_no_object_in_json_is_not_queued(site: Site, text: str) -> None:
    site.consumer._consume_json(types.SimpleNamespace(topic="a.b", body=text))

    assert site.consumer.incoming.empty()


def test_unsigned_messages_are_handled_without_validate_signatures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path, validate_signatures=False, ca_cert_location=None)
    body = fedmsg_body("logger.first", {}, "ann")
    try:
        hand_over(site, {"topic": body["topic"], "body": body})
        assert site.has_badge("ann")
    finally:
        site.consumer.stop()
        assert site.consumer._daemon is not None
        site.consumer._daemon.stop()

    assert caplog.text.count("whoever can reach the bus can forge messages") == 1
