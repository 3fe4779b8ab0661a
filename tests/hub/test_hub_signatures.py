"""Signatures in a real hub: who may have badges awarded, and what is said where nobody could."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.bus import HOST, PREFIX, Bus, fedmsg_body
from support.certificates import DAY, NOW, Authority, Holder, authority, replaced
from support.databases import Databases, with_driver
from support.deployment import Deployment, make_hub, run_deployment
from support.rules import counting_rule

from fedbadges.signatures.verifier import make_verifier

RULES = {
    "first": counting_rule("First Step", "logger.first", 1),
    "last": counting_rule("Last Step", "logger.last", 1),
}


class Signers:
    """A CA, with its files, and people who have certificates of it."""

    def __init__(self, directory: Path) -> None:
        self.ca = authority()
        self.app = self.ca.issue("app01")
        self.guest = self.ca.issue("guest")
        self.crl_file = directory / "crl.pem"
        self._ca_file = directory / "ca.crt"
        self._ca_file.write_bytes(self.ca.pem)
        self.ca.issue("badges").stored(directory, "badges")
        self.revoke()

    def revoke(self, *holders: Holder) -> None:
        replaced(self.crl_file, self.ca.revoking(*holders))

    def settings(self, **others: Any) -> dict[str, Any]:
        first = f"{PREFIX}.logger.first"
        return {
            "validate_signatures": True,
            "sign_messages": True,
            "ssldir": str(self._ca_file.parent),
            "certnames": {f"fedbadges.{HOST}": "badges"},
            "ca_cert_location": str(self._ca_file),
            "crl_location": str(self.crl_file),
            "routing_policy": {first: ["app01", "app02"]},
        } | others


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Signers:
    return Signers(tmp_path_factory.mktemp("ssl"))


@pytest.fixture(scope="module")
def deployment(
    signers: Signers, shared_database: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    directory = tmp_path_factory.mktemp("hub")
    with run_deployment(directory, shared_database, RULES, signers.settings()) as running:
        yield running


on_postgresql = pytest.mark.parametrize(
    "shared_database", ["postgresql"], indirect=True, scope="module"
)


def wait_until_handled(deployment: Deployment, signers: Signers, username: str) -> None:
    """Wait until all that was sent before this is done: messages are handled in order."""
    deployment.bus.send(signers.app.signed(fedmsg_body("logger.last", {}, username)))
    deployment.wait_for_badge(username, "last-step")


def stored(databases: Databases) -> set[str]:
    """Return the ids of the messages in the history."""
    engine = sa.create_engine(with_driver(databases.datanommer_url), poolclass=sa.NullPool)
    with engine.connect() as connection:
        return set(connection.scalars(sa.text("SELECT msg_id FROM messages")))


@on_postgresql
def test_message_with_a_valid_signature_earns_a_badge(
    deployment: Deployment, signers: Signers
) -> None:
    message = signers.app.signed(fedmsg_body("logger.first", {"text": "Grüße 🏅"}, "ann"))
    deployment.bus.send(message)

    link = deployment.wait_for_badge("ann", "first-step")

    assert message["msg_id"] in link


Bad = Callable[[Signers, dict[str, Any]], dict[str, Any]]


def signed_by(holder: Callable[[Signers], Holder]) -> Bad:
    return lambda signers, body: holder(signers).signed(body)


def tampered(signers: Signers, body: dict[str, Any]) -> dict[str, Any]:
    return signers.app.signed(body | {"username": "somebody"}) | {"username": body["username"]}


def revoked(signers: Signers, body: dict[str, Any]) -> dict[str, Any]:
    holder = signers.ca.issue("app02")
    signers.revoke(holder)
    return holder.signed(body)


BAD: dict[str, Bad] = {
    "unsigned": lambda signers, body: body,
    "forged": signed_by(lambda signers: authority("app01", 2)),
    "forged with another's certificate": lambda signers, body: (
        authority("app01", 2).signed(body)
        | {"certificate": signers.app.signed(body)["certificate"]}
    ),
    "tampered": tampered,
    "expired": signed_by(
        lambda signers: signers.ca.issue("app01", begin=NOW - 3 * DAY, end=NOW - DAY)
    ),
    "revoked": revoked,
    "wrong CA": signed_by(lambda signers: authority("Other CA", 2).issue("app01")),
    "wrong name": signed_by(lambda signers: signers.guest),
    "replayed with another topic": lambda signers, body: (
        signers.guest.signed(body | {"topic": f"{PREFIX}.logger.guest"}) | {"topic": body["topic"]}
    ),
}


@on_postgresql
@pytest.mark.parametrize("kind", BAD)
def test_message_with_an_invalid_signature_earns_nothing_and_is_not_stored(
    deployment: Deployment, signers: Signers, kind: str
) -> None:
    username = f"mallory-{list(BAD).index(kind)}"
    message = BAD[kind](signers, fedmsg_body("logger.first", {}, username))
    assert message["username"] == username

    deployment.bus.send(message)
    wait_until_handled(deployment, signers, f"after-{username}")

    assert deployment.badges(username) == {}
    assert message["msg_id"] not in stored(deployment.databases)


@on_postgresql
def test_signed_message_sent_under_another_topic_earns_nothing(
    deployment: Deployment, signers: Signers
) -> None:
    message = signers.app.signed(fedmsg_body("logger.first", {}, "olivia"))

    deployment.bus.send(message, topic=f"{PREFIX}.logger.other")
    wait_until_handled(deployment, signers, "after-olivia")

    assert deployment.badges("olivia") == {}


@on_postgresql
def test_certificate_revoked_while_the_hub_runs_is_rejected(
    deployment: Deployment, signers: Signers
) -> None:
    holder = signers.ca.issue("app02")
    deployment.bus.send(holder.signed(fedmsg_body("logger.first", {}, "bob")))
    deployment.wait_for_badge("bob", "first-step")

    signers.revoke(holder)
    deployment.bus.send(holder.signed(fedmsg_body("logger.first", {}, "erin")))
    wait_until_handled(deployment, signers, "after-erin")

    assert deployment.badges("erin") == {}


@on_postgresql
def test_award_notices_are_signed(deployment: Deployment, signers: Signers) -> None:
    deployment.bus.send(signers.app.signed(fedmsg_body("logger.first", {}, "frank")))

    award = deployment.bus.wait_for_award("frank", "first-step")

    config = signers.settings(routing_policy={award["topic"]: ["badges"]}, routing_nitpicky=True)
    verifier = make_verifier(config)
    assert verifier is not None
    verifier.verify_now(award, award["topic"])


@on_postgresql
def test_rejections_are_logged_once_for_each_reason(
    deployment: Deployment, signers: Signers
) -> None:
    for _ in range(20):
        deployment.bus.send(fedmsg_body("logger.first", {}, "mallory"))
    wait_until_handled(deployment, signers, "grace")

    assert len(deployment.hub.lines_with("it is not signed")) == 1
    assert not deployment.hub.lines_with("Received invalid message")


# At the start


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


def old_list(ca: Authority) -> bytes:
    return ca.revoking(begin=NOW - 3 * DAY, end=NOW - DAY)


@pytest.mark.parametrize(
    ("key", "text", "reason"),
    [
        pytest.param("ca_cert_location", None, "No such file or directory", id="no CA"),
        pytest.param(
            "ca_cert_location",
            lambda ca: b"",
            "no certificate in PEM",
            id="no certificate",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "crl_location",
            old_list,
            "the CA's revocation list expired on ",
            id="an expired list",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "certnames",
            None,
            "No such file or directory",
            id="no key",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_fedmsg_badges_exits_if_it_cannot_verify_or_sign(
    sqlite_database: Databases,
    bus: Bus,
    tmp_path: Path,
    key: str,
    text: Callable[[Authority], bytes] | None,
    reason: str,
) -> None:
    (tmp_path / "ssl").mkdir()
    signers = Signers(tmp_path / "ssl")
    names = {"ca_cert_location": "ca.crt", "crl_location": "crl.pem", "certnames": "badges.key"}
    file = tmp_path / "ssl" / names[key]
    file.unlink()
    if text is not None:
        file.write_bytes(text(signers.ca))
    hub = make_hub(tmp_path / "hub", sqlite_database, bus, RULES, signers.settings())

    hub.start("fedmsg-badges")

    assert hub.exit_code() == os.EX_CONFIG
    (line,) = hub.lines_with(f"'{key}'")
    assert line.startswith(hub.location_of(key))
    assert reason in line
    assert not hub.lines_with("Traceback")


@pytest.mark.slow
def test_unreachable_crl_server_makes_fedmsg_badges_exit_with_1(
    signers: Signers, sqlite_database: Databases, bus: Bus, tmp_path: Path
) -> None:
    settings = signers.settings(crl_location="https://127.0.0.1:1/crl.pem")
    hub = make_hub(tmp_path / "hub", sqlite_database, bus, RULES, settings)

    hub.start("fedmsg-badges")

    assert hub.exit_code() == 1
    assert hub.logged("CRITICAL", 'Cannot start error="', "https://127.0.0.1:1")
    assert not hub.lines_with("Traceback")


@pytest.mark.slow
def test_shared_hub_keeps_running_if_signatures_cannot_be_verified(
    signers: Signers, sqlite_database: Databases, bus: Bus, tmp_path: Path
) -> None:
    settings = signers.settings(ca_cert_location="/nowhere/ca.crt")
    hub = make_hub(tmp_path / "hub", sqlite_database, bus, RULES, settings)
    hub.start()
    try:
        hub.wait_for_log("CRITICAL", "'ca_cert_location'", "No such file or directory")
        assert hub.running()
    finally:
        hub.kill()


@pytest.mark.slow
def test_accepting_unsigned_messages_is_logged_once(
    sqlite_database: Databases, tmp_path: Path
) -> None:
    with run_deployment(tmp_path / "hub", sqlite_database, RULES) as deployment:
        for name in ("ann", "bob"):
            deployment.publish("logger.first", username=name)
            deployment.wait_for_badge(name, "first-step")

        assert len(deployment.hub.logged("WARNING", "validate_signatures", "forge")) == 1
