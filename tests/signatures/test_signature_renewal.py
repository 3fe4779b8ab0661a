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
from support.waiting import TIMEOUT, eventually
from support.web import Answer, Server

from fedbadges.errors import Rejected, Stopped, Unavailable
from fedbadges.signatures.authority import CertificateError
from fedbadges.signatures.authority_cache import AuthorityCache, make_source
from fedbadges.signatures.options import read_options
from fedbadges.signatures.verifier import Verifier, make_verifier


class Clocks:
    """Clocks that stand still until they are moved."""

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


def logged(log: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelname == level]


def verifier_of(ca: Any, crl: Any, clocks: Clocks, interval: float = 0) -> Verifier:
    config = {"validate_signatures": True, "ca_cert_location": "-"}
    options = read_options(config)
    assert options is not None
    sources = [
        make_source(str(ca), 0, clocks.monotonic),
        make_source(str(crl), interval, clocks.monotonic),
    ]
    return Verifier(options, AuthorityCache(sources, clocks.now), config, clocks.now)


def accepts(verifier: Verifier, message: dict[str, Any]) -> bool:
    try:
        verifier.verify_now(message, message["topic"])
    except Rejected:
        return False
    return True


# In files


@pytest.fixture
def verifier(place: Place, clocks: Clocks) -> Verifier:
    return verifier_of(place.ca_file, place.crl_file, clocks)


def test_a_certificate_that_is_revoked_later_is_rejected(place: Place, verifier: Verifier) -> None:
    assert accepts(verifier, place.message)

    place.put(crl=place.ca.revoking(place.app))

    assert not accepts(verifier, place.message)


def test_a_new_ca_is_read_with_the_first_message_that_needs_it(
    place: Place, verifier: Verifier
) -> None:
    assert accepts(verifier, place.message)
    new = authority(key_number=2)
    message = new.issue("app02").signed(place.body)
    assert not accepts(verifier, message)

    place.put(new.pem, new.revoking())

    assert accepts(verifier, message)
    assert not accepts(verifier, place.message)


@pytest.mark.parametrize("name", ["ca", "crl"])
@pytest.mark.parametrize("text", [b"", b"nothing", None], ids=["empty", "other", "gone"])
def test_an_unusable_file_keeps_the_previous_ca_and_is_logged_once(
    place: Place,
    verifier: Verifier,
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
        assert accepts(verifier, place.message)

    (line,) = logged(log, "ERROR")
    assert line.startswith("Could not refresh the CA, keeping the previous one error=")
    assert "\n" not in line
    replaced(file, good)
    assert accepts(verifier, place.message)
    assert logged(log, "INFO") == ["Refreshed the CA"]


def test_an_expired_revocation_list_does_not_replace_a_valid_one(
    place: Place, verifier: Verifier, log: pytest.LogCaptureFixture
) -> None:
    place.put(crl=place.ca.revoking(begin=NOW - 3 * DAY, end=NOW - DAY))

    assert accepts(verifier, place.message)

    assert "the CA's revocation list expired on " in logged(log, "ERROR")[0]


def test_an_outdated_revocation_list_makes_verification_unavailable_until_a_new_one(
    place: Place, verifier: Verifier, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    forged = place.message | {"msg": {"n": 2}}
    clocks.pass_(6 * DAY.total_seconds())

    for message in (place.message, forged, place.message):
        with pytest.raises(Unavailable, match="the CA's revocation list expired on "):
            verifier.verify_now(message, message["topic"])

    (line,) = logged(log, "ERROR")
    assert line.startswith("Cannot verify signatures, messages wait for a newer CA error=")
    place.put(crl=place.ca.revoking(end=NOW + 8 * DAY))
    assert accepts(verifier, place.message)
    assert not accepts(verifier, forged)
    assert logged(log, "INFO")[-1] == "Can verify signatures again"


# On a server


@pytest.fixture
def server(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    context, trusted = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    server = Server(place.answer, context)
    yield server
    server.stop()


def test_a_url_is_requested_again_after_its_interval(
    place: Place, server: Server, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.signatures.authority_cache._INTERVAL", 0.01)
    verifier = verifier_of(f"{server.url}/ca.crt", f"{server.url}/crl.pem", clocks, interval=3600)
    verifier.start()
    try:
        place.put(crl=place.ca.revoking(place.app))
        clocks.pass_(3599)
        assert accepts(verifier, place.message)
        assert server.asked == ["/ca.crt", "/crl.pem"]

        clocks.pass_(1)

        eventually(lambda: not accepts(verifier, place.message), "the new list is in force")
        assert server.asked == ["/ca.crt", "/crl.pem", "/crl.pem"]
    finally:
        verifier.stop()


def test_a_failing_server_keeps_the_previous_revocation_list(
    place: Place, server: Server, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    verifier = verifier_of(place.ca_file, f"{server.url}/crl.pem", clocks, interval=3600)
    authorities = verifier._authorities
    assert authorities is not None
    server.instead = Answer(404)
    place.put(crl=place.ca.revoking(place.app))
    for _ in range(10):
        clocks.pass_(600)
        authorities.refresh()
        assert accepts(verifier, place.message)
    (line,) = logged(log, "ERROR")
    assert f"{server.url}/crl.pem: 404 Client Error" in line

    server.instead = None
    clocks.pass_(120)
    authorities.refresh()

    assert not accepts(verifier, place.message)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, b" " * 17_000_000), "an answer of more than 16777216 bytes"),
        (Answer(302, headers={"Location": "https://example.org/crl.pem"}), "a redirect to another"),
        (Answer(200, b"x", headers={"Content-Encoding": "gzip"}), "an answer that is compressed"),
    ],
    ids=["too large", "redirect", "compressed"],
)
def test_an_answer_that_is_no_small_one_of_the_same_host_keeps_the_previous_list(
    place: Place,
    server: Server,
    clocks: Clocks,
    answer: Answer,
    reason: str,
    log: pytest.LogCaptureFixture,
) -> None:
    url = server.url.replace("https://", "https://me:secret@")
    verifier = verifier_of(place.ca_file, f"{url}/crl.pem", clocks, interval=3600)
    authorities = verifier._authorities
    assert authorities is not None
    server.instead = answer
    clocks.pass_(3600)

    authorities.refresh()

    assert accepts(verifier, place.message)
    (line,) = logged(log, "ERROR")
    assert f"{server.url}/crl.pem: {reason}" in line
    assert "secret" not in line


def test_an_older_list_of_a_server_does_not_replace_a_newer_one(
    place: Place, server: Server, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    place.put(crl=place.ca.revoking(place.app, number=7))
    verifier = verifier_of(place.ca_file, f"{server.url}/crl.pem", clocks, interval=3600)
    assert not accepts(verifier, place.message)
    place.put(crl=place.ca.revoking(number=6))
    clocks.pass_(3600)
    assert verifier._authorities is not None

    verifier._authorities.refresh()

    assert not accepts(verifier, place.message)
    assert "older than the previous one" in logged(log, "ERROR")[0]


def test_an_unknown_issuer_requests_the_ca_again_but_not_for_each_message(
    place: Place, server: Server, clocks: Clocks
) -> None:
    verifier = verifier_of(f"{server.url}/ca.crt", f"{server.url}/crl.pem", clocks)
    new = authority(key_number=2)
    message = new.issue("app02").signed(place.body)
    clocks.pass_(3600)
    place.put(new.pem, new.revoking())

    assert accepts(verifier, message)

    asked = len(server.asked)
    clocks.pass_(120)
    for _ in range(10):
        assert not accepts(verifier, place.message)
    assert len(server.asked) == asked + 2


def test_an_outdated_revocation_list_is_requested_again(
    place: Place, server: Server, clocks: Clocks
) -> None:
    verifier = verifier_of(place.ca_file, f"{server.url}/crl.pem", clocks)
    clocks.pass_(6 * DAY.total_seconds())
    place.put(crl=place.ca.revoking(end=NOW + 8 * DAY))

    assert accepts(verifier, place.message)


@pytest.mark.parametrize("path", ["/crl.pem", "/ca.crt"])
def test_making_a_verifier_is_unavailable_without_a_usable_ca(
    place: Place, server: Server, path: str
) -> None:
    place.put(**{"/ca.crt": {"ca": b"nothing"}, "/crl.pem": {"crl": b"nothing"}}[path])
    locations = {
        "ca_cert_location": f"{server.url}/ca.crt",
        "crl_location": f"{server.url}/crl.pem",
    }
    config = {"validate_signatures": True} | locations

    for _ in range(2):
        with pytest.raises(Unavailable, match=r"signatures cannot be checked: "):
            make_verifier(config)
        server.instead = Answer(404)


# Retrying


def test_verification_waits_until_the_ca_is_usable(
    place: Place, verifier: Verifier, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    clocks.pass_(6 * DAY.total_seconds())
    passed = threading.Thread(target=verifier.verify, args=(place.message, place.message["topic"]))
    passed.start()
    eventually(lambda: logged(log, "WARNING"), "a warning")
    assert passed.is_alive()

    place.put(crl=place.ca.revoking(end=NOW + 8 * DAY))
    passed.join(TIMEOUT)

    assert not passed.is_alive()
    assert len(logged(log, "WARNING")) == 1
    verifier.stop()


def test_stop_ends_the_wait_for_a_usable_ca(
    place: Place, verifier: Verifier, clocks: Clocks, log: pytest.LogCaptureFixture
) -> None:
    clocks.pass_(6 * DAY.total_seconds())
    verifier.stop()

    with pytest.raises(Stopped):
        verifier.verify(place.message, place.message["topic"])

    assert place.message["msg_id"][:5] in logged(log, "WARNING")[-1]


def test_each_reason_for_a_rejection_is_logged_once(
    place: Place, verifier: Verifier, log: pytest.LogCaptureFixture
) -> None:
    topic = place.message["topic"]
    bad = [fedmsg_body("logger.log", {"n": number}) for number in range(10)]
    bad += [place.message | {"i": number + 2, "msg_id": "a\nb" * 1000} for number in range(10)]

    for message in bad:
        with pytest.raises(Rejected):
            verifier.verify(message, topic)

    first, second = logged(log, "WARNING")
    assert "it is not signed" in first
    assert "its signature does not match its content" in second
    assert "\n" not in second
    assert len(second) < 1000


def test_errors_hide_passwords_in_urls() -> None:
    with pytest.raises(CertificateError, match=r"^https://127\.0\.0\.1:1/ca\.crt: ") as caught:
        make_source("https://me:secret@127.0.0.1:1/ca.crt", 0).refresh(force=True)

    assert "secret" not in str(caught.value)
