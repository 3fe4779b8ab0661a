"""The CA's certificate and its revocation list change while the daemon runs."""

import datetime
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bus import fedmsg_body
from support.certificates import DAY, NOW, authority, replaced, server_context
from support.waiting import eventually
from support.web import Answer, Server

from fedbadges.errors import Rejected, Stopped, Unavailable
from fedbadges.signatures.authority_cache import AuthorityCache
from fedbadges.signatures.options import read_options
from fedbadges.signatures.retrying_verifier import RetryingVerifier
from fedbadges.signatures.sources import Unreadable, source
from fedbadges.signatures.verifier import Verifier, make_verifier


class Clocks:
    """Both kinds of time, which pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime.datetime:
        return NOW + datetime.timedelta(seconds=self.seconds)


class Place:
    """Where the certificate and the list of a CA are, in files and on a server."""

    def __init__(self, directory: Path) -> None:
        self.ca = authority()
        self.app = self.ca.issue("app01", end=NOW + 9 * DAY)
        self.body = fedmsg_body("logger.log", {})
        self.message = self.app.signed(self.body)
        self.ca_file, self.crl_file = directory / "ca.crt", directory / "crl.pem"
        self.put(self.ca.pem, self.ca.revoking())

    def put(self, ca: bytes | None = None, crl: bytes | None = None) -> None:
        """Replaces what is there, on the server too."""
        if ca is not None:
            replaced(self.ca_file, ca)
        if crl is not None:
            replaced(self.crl_file, crl)

    def answer(self, path: str, query: dict[str, str]) -> Answer:
        return Answer(200, (self.ca_file.parent / path[1:]).read_bytes())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "fedbadges")
    return caplog


def said(log: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelname == level]


def checks_of(ca: Any, crl: Any, clocks: Clocks, interval: float = 0) -> Verifier:
    config = {"validate_signatures": True, "ca_cert_location": "-"}
    options = read_options(config)
    assert options is not None
    keeper = AuthorityCache(
        source(str(ca), 0, clocks.monotonic),
        source(str(crl), interval, clocks.monotonic),
        clocks.now,
    )
    return Verifier(options, keeper, config, clocks.now)


def heeds(checks: Verifier, message: dict[str, Any]) -> bool:
    try:
        checks.check(message, message["topic"])
    except Rejected:
        return False
    return True


# In files


@pytest.fixture
def checks(place: Place, clocks: Clocks) -> Verifier:
    return checks_of(place.ca_file, place.crl_file, clocks)


def test_who_is_revoked_is_heeded_no_more(place: Place, checks: Verifier) -> None:
    assert heeds(checks, place.message)

    place.put(crl=place.ca.revoking(place.app))

    assert not heeds(checks, place.message)


def test_a_new_ca_is_known_with_its_first_message(place: Place, checks: Verifier) -> None:
    assert heeds(checks, place.message)
    new = authority(key_number=2)
    message = new.issue("app02").signed(place.body)
    assert not heeds(checks, message)

    place.put(new.pem, new.revoking())

    assert heeds(checks, message)
    assert not heeds(checks, place.message)


@pytest.mark.parametrize("name", ["ca", "crl"])
@pytest.mark.parametrize("text", [b"", b"nothing", None], ids=["empty", "other", "gone"])
def test_what_cannot_be_used_changes_nothing_and_is_said_once(
    place: Place,
    checks: Verifier,
    name: str,
    text: bytes | None,
    log: pytest.LogCaptureFixture,
) -> None:
    file = place.ca_file if name == "ca" else place.crl_file
    good = file.read_bytes()
    if text is None:
        file.unlink()
    else:
        replaced(file, text)

    for _ in range(5):
        assert heeds(checks, place.message)

    (line,) = said(log, "ERROR")
    assert line.startswith("What was known of the CA before stays in force: ")
    assert "\n" not in line
    replaced(file, good)
    assert heeds(checks, place.message)
    assert said(log, "INFO") == ["Read the CA's certificate and revocation list again"]


def test_a_list_of_the_past_replaces_none_of_today(
    place: Place, checks: Verifier, log: pytest.LogCaptureFixture
) -> None:
    place.put(crl=place.ca.revoking(begin=NOW - 3 * DAY, end=NOW - DAY))

    assert heeds(checks, place.message)

    assert "the CA's revocation list expired on " in said(log, "ERROR")[0]


def test_while_the_list_is_too_old_nothing_is_decided_and_a_new_one_ends_that(
    place: Place, checks: Verifier, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    forged = place.message | {"msg": {"n": 2}}
    clocks.pass_(6 * DAY.total_seconds())

    for message in (place.message, forged, place.message):
        with pytest.raises(Unavailable, match="the CA's revocation list expired on "):
            checks.check(message, message["topic"])

    (line,) = said(log, "ERROR")
    assert line.startswith("Signatures cannot be checked: the CA's revocation list expired on ")
    place.put(crl=place.ca.revoking(end=NOW + 8 * DAY))
    assert heeds(checks, place.message)
    assert not heeds(checks, forged)
    assert said(log, "INFO")[-1] == "Signatures can be checked again"


# On a server


@pytest.fixture
def server(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    context, trusted = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    server = Server(place.answer, context)
    yield server
    server.stop()


def test_a_server_is_asked_again_when_its_time_has_come(
    place: Place, server: Server, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.signatures.authority_cache._PAUSE", 0.01)
    checks = checks_of(f"{server.url}/ca.crt", f"{server.url}/crl.pem", clocks, interval=3600)
    checks.start()
    try:
        place.put(crl=place.ca.revoking(place.app))
        clocks.pass_(3599)
        assert heeds(checks, place.message)
        assert server.asked == ["/ca.crt", "/crl.pem"]

        clocks.pass_(1)

        eventually(lambda: not heeds(checks, place.message), "the new list is in force")
        assert server.asked == ["/ca.crt", "/crl.pem", "/crl.pem"]
    finally:
        checks.stop()


def test_a_server_that_is_away_changes_nothing(
    place: Place, server: Server, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    checks = checks_of(place.ca_file, f"{server.url}/crl.pem", clocks, interval=3600)
    keeper = checks._keeper
    assert keeper is not None
    server.instead = Answer(404)
    place.put(crl=place.ca.revoking(place.app))
    for _ in range(10):
        clocks.pass_(600)
        keeper.renew()
        assert heeds(checks, place.message)
    (line,) = said(log, "ERROR")
    assert f"{server.url}/crl.pem: 404 Client Error" in line

    server.instead = None
    clocks.pass_(120)
    keeper.renew()

    assert not heeds(checks, place.message)


def test_a_server_is_asked_for_a_new_ca_but_not_for_each_forgery(
    place: Place, server: Server, clocks: Clocks
) -> None:
    checks = checks_of(f"{server.url}/ca.crt", f"{server.url}/crl.pem", clocks)
    new = authority(key_number=2)
    message = new.issue("app02").signed(place.body)
    clocks.pass_(3600)
    place.put(new.pem, new.revoking())

    assert heeds(checks, message)

    asked = len(server.asked)
    clocks.pass_(120)
    for _ in range(10):
        assert not heeds(checks, place.message)
    assert len(server.asked) == asked + 2


def test_a_list_that_became_too_old_is_asked_for(
    place: Place, server: Server, clocks: Clocks
) -> None:
    checks = checks_of(place.ca_file, f"{server.url}/crl.pem", clocks)
    clocks.pass_(6 * DAY.total_seconds())
    place.put(crl=place.ca.revoking(end=NOW + 8 * DAY))

    assert heeds(checks, place.message)


@pytest.mark.parametrize("path", ["/crl.pem", "/ca.crt"])
def test_without_an_answer_at_the_start_there_are_no_checks(
    place: Place, server: Server, path: str
) -> None:
    place.put(**{"/ca.crt": {"ca": b"nothing"}, "/crl.pem": {"crl": b"nothing"}}[path])
    locations = {
        "ca_cert_location": f"{server.url}/ca.crt",
        "crl_location": f"{server.url}/crl.pem",
    }
    config = {"validate_signatures": True} | locations
    options = read_options(config)
    assert options is not None

    for _ in range(2):
        with pytest.raises(Unavailable, match=r"signatures cannot be checked: "):
            make_verifier(options, config)
        server.instead = Answer(404)


# At the gate


def test_messages_wait_while_nothing_can_be_checked(
    place: Place, checks: Verifier, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    gate = RetryingVerifier(checks)
    clocks.pass_(6 * DAY.total_seconds())
    passed = threading.Thread(target=gate.check, args=(place.message, place.message["topic"]))
    passed.start()
    eventually(lambda: said(log, "WARNING"), "a warning")
    assert passed.is_alive()

    place.put(crl=place.ca.revoking(end=NOW + 8 * DAY))
    passed.join(20)

    assert not passed.is_alive()
    assert len(said(log, "WARNING")) == 1
    gate.stop()


def test_the_stop_ends_the_waiting(
    place: Place, checks: Verifier, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    gate = RetryingVerifier(checks)
    clocks.pass_(6 * DAY.total_seconds())
    gate.stop()

    with pytest.raises(Stopped):
        gate.check(place.message, place.message["topic"])

    assert place.message["msg_id"][:5] in said(log, "WARNING")[-1]


def test_each_reason_is_said_once(
    place: Place, checks: Verifier, log: pytest.LogCaptureFixture
) -> None:
    gate = RetryingVerifier(checks)
    topic = place.message["topic"]
    bad = [fedmsg_body("logger.log", {"n": number}) for number in range(10)]
    bad += [place.message | {"i": number + 2, "msg_id": "a\nb" * 1000} for number in range(10)]

    for message in bad:
        with pytest.raises(Rejected):
            gate.check(message, topic)

    first, second = said(log, "WARNING")
    assert "it is not signed" in first
    assert "its signature does not fit what it says" in second
    assert "\n" not in second
    assert len(second) < 300


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(Unreadable, match=r"^https://127\.0\.0\.1:1/ca\.crt: ") as caught:
        source("https://me:secret@127.0.0.1:1/ca.crt", 0).read(insist=True)

    assert "secret" not in str(caught.value)
