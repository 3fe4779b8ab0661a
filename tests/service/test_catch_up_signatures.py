"""Messages that are caught up are verified as those from the bus are."""

import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.certificates import DAY, NOW, Authority, authority
from support.daemon_restarts import HOUR, Start, held, sent, store_message, write_checkpoint
from support.databases import Databases
from support.waiting import eventually

from fedbadges.databases.connections import engine

on_sqlite = pytest.mark.sqlite


@pytest.fixture
def ca() -> Authority:
    return authority()


@pytest.fixture
def required(ca: Authority, tmp_path: Path) -> dict[str, Any]:
    """A configuration that wants signatures."""
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    (tmp_path / "crl.pem").write_bytes(ca.revoking(ca.issue("gone", key=None)))
    return {
        "validate_signatures": True,
        "ca_cert_location": str(tmp_path / "ca.crt"),
        "crl_location": str(tmp_path / "crl.pem"),
        "routing_policy": {"org.fedoraproject.dev.logger.first": ["app01"]},
    }


def step(name: str, **more: Any) -> dict[str, Any]:
    """Returns a message as fedmsg makes it: in whole seconds."""
    return sent(name) | {"timestamp": int(time.time())} | more


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if line.startswith("Rejected stored message")]


def test_signed_message_is_caught_up_in_whichever_form_it_was_signed(
    start: Start, database: Databases, ca: Authority, required: dict[str, Any]
) -> None:
    app = ca.issue("app01")
    start(config=required)

    store_message(database, app.signed(step("alice")))
    store_message(database, app.signed(step("bob"), crypto=None))
    store_message(database, app.signed(step("carol", timestamp=int(time.time()) + 0.5)))
    store_message(database, app.signed(step("dave", headers={"a": "b"})))
    # What comes beside the message is not signed, but stored with it.
    store_message(database, app.signed(step("erin")) | {"headers": {"a": "b"}})
    # Whom a plugin named.
    store_message(database, app.signed(step("frank")) | {"username": "frank"})
    anonymous = {key: value for key, value in step("grace").items() if key != "username"}
    store_message(database, app.signed(anonymous) | {"username": "grace"})

    names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"]
    eventually(lambda: all(held(database, *names)), "all badges")


@on_sqlite
def test_message_without_valid_signature_is_not_caught_up_and_logged_once_for_each_reason(
    start: Start,
    database: Databases,
    ca: Authority,
    required: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, gone = ca.issue("app01"), ca.issue("app01")
    Path(required["crl_location"]).write_bytes(ca.revoking(gone))
    start(config=required)

    for each in range(2):
        store_message(database, step(f"unsigned{each}"))
        store_message(database, app.signed(step("alice")) | {"msg": {"user": f"tampered{each}"}})
        store_message(database, ca.issue("app02").signed(step(f"another{each}")))
        store_message(database, gone.signed(step(f"revoked{each}")))
        store_message(database, authority("Forged CA", 1).issue("app01").signed(step(f"ca{each}")))
        expired = ca.issue("app01", begin=NOW - 3 * DAY, end=NOW - DAY)
        store_message(database, expired.signed(step(f"expired{each}")))
    store_message(database, app.signed(step("alice")))

    eventually(lambda: held(database, "alice") == [True], "the badge")
    time.sleep(0.3)
    with engine(database.tahrir_url).connect() as connection:
        assert list(connection.scalars(sa.text("SELECT nickname FROM persons"))) == ["alice"]
    reasons = re.findall(r'reason="(.*)"', "\n".join(refusals(caplog)))
    assert reasons == [
        "no signature was stored with it",
        "its signature does not match its content",
        "'routing_policy' does not let its signer send its topic (signed by 'app02')",
        "its certificate is revoked",
        "its certificate is not from the configured CA",
        "its certificate has expired",
    ]


@on_sqlite
def test_forged_message_does_not_hide_the_genuine_one_with_the_same_id(
    start: Start, database: Databases, tmp_path: Path, ca: Authority, required: dict[str, Any]
) -> None:
    write_checkpoint(tmp_path, HOUR)
    good = ca.issue("app01").signed(step("alice"))
    store_message(database, step("mallory", msg_id=good["msg_id"], timestamp=good["timestamp"] - 9))
    store_message(database, good)

    start(config=required)

    eventually(lambda: held(database, "alice") == [True], "the badge")
    assert held(database, "mallory") == [False]


@on_sqlite
def test_unsigned_message_is_caught_up_if_the_history_is_trusted(
    start: Start, database: Databases, required: dict[str, Any]
) -> None:
    start(config=required, trust_history=True)

    store_message(database, step("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")


@on_sqlite
def test_message_that_the_daemon_stored_itself_is_not_verified_again(
    start: Start, database: Databases, required: dict[str, Any], ca: Authority
) -> None:
    daemon = start(config=required, record_messages=True)
    daemon.drain()

    daemon.handle(ca.issue("app01").signed(step("alice")))
    assert held(database, "alice") == [False]
    start(config=required, record_messages=True)

    eventually(lambda: held(database, "alice") == [True], "the badge")


@on_sqlite
def test_message_stored_while_signatures_were_not_required_is_verified_later(
    start: Start, database: Databases, required: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    daemon = start(record_messages=True)
    daemon.drain()

    daemon.handle(step("mallory"))
    start(config=required, record_messages=True)

    eventually(lambda: refusals(caplog), "a warning")
    assert held(database, "mallory") == [False]
