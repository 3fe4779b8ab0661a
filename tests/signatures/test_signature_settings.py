"""What is said at the start of signatures that cannot be checked or made, and signing itself."""

import base64
import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fedmsg.config
import pytest
from cryptography import x509
from support.bus import HOST, Bus, fedmsg_body
from support.certificates import DAY, IS_CA, NOW, Authority, authority, curve_key, key
from support.waiting import eventually

from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.messages import Notice
from fedbadges.signatures.authority import CertificateError
from fedbadges.signatures.options import dangers, mistakes
from fedbadges.signatures.signing import Signer, certificate_of
from fedbadges.signatures.verifier import make_verifier

SENDER = f"fedbadges.{HOST}"


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    """A CA whose files are there, and a pair of files to sign with."""
    ca = authority()
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    (tmp_path / "crl.pem").write_bytes(ca.revoking())
    ca.issue("badges").stored(tmp_path, "badges")
    return ca


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A configuration that verifies and signs, from a file."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    keys = {
        "validate_signatures": True,
        "sign_messages": True,
        "crypto_validate_backends": ["x509"],
        "ca_cert_location": str(tmp_path / "ca.crt"),
        "ca_cert_cache_expiry": 0,
        "crl_location": str(tmp_path / "crl.pem"),
        "crl_cache_expiry": 3600,
        "routing_policy": {},
        "ssldir": str(tmp_path),
        "certnames": {SENDER: "badges"},
    }
    (tmp_path / "fedmsg.d").mkdir()
    lines = [f"    {key!r}: {value!r},\n" for key, value in keys.items()]
    (tmp_path / "fedmsg.d" / "ssl.py").write_text("config = {\n" + "".join(lines) + "}\n")
    return copy.deepcopy(fedmsg.config.defaults) | keys


def only_mistake(config: dict[str, Any]) -> str:
    (line,) = mistakes(config)
    assert "\n" not in line
    return line


def test_a_valid_signature_configuration_has_no_mistakes(
    ca: Authority, config: dict[str, Any]
) -> None:
    assert mistakes(config) == []
    assert dangers(config) == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("crypto_validate_backends", "x509", "a list of 'x509', 'gpg' or both"),
        ("crypto_validate_backends", ["X509"], "a list of 'x509', 'gpg' or both"),
        ("crypto_validate_backends", [[]], "a list of 'x509', 'gpg' or both"),
        ("ca_cert_location", 5, "the CA's certificate, a PEM file or an https:// address"),
        ("crl_location", [], "the CA's revocation list, a PEM file or an https:// address"),
        ("crl_cache_expiry", "soon", "a number of seconds, 0 or more"),
        ("crl_cache_expiry", -1, "a number of seconds, 0 or more"),
        ("ca_cert_cache_expiry", [], "a number of seconds, 0 or more"),
        ("routing_policy", ["a"], "a mapping from topics to lists of certificates' names"),
        (
            "routing_policy",
            {"a.b": "app01"},
            "a mapping from topics to lists of certificates' names ('a.b' has no list)",
        ),
        (
            "certnames",
            {},
            "a mapping with the name of a certificate and its key in 'ssldir'"
            f" (without '{SENDER}' nothing can be signed)",
        ),
    ],
)
def test_a_malformed_signature_key_is_reported_with_its_line(
    ca: Authority, config: dict[str, Any], key: str, value: Any, expected: str
) -> None:
    file = Path("fedmsg.d/ssl.py").resolve()
    number = next(
        n for n, line in enumerate(file.read_text().splitlines(), 1) if f"'{key}'" in line
    )

    line = only_mistake(config | {key: value})

    assert line.startswith(f"{file}:{number}:5: malformed key '{key}'; expected {expected}")


def test_a_missing_ca_is_a_mistake(ca: Authority, config: dict[str, Any]) -> None:
    line = only_mistake(config | {"ca_cert_location": None})

    assert "missing key 'ca_cert_location'; expected the CA's certificate" in line


def files_that_are_wrong() -> Iterator[tuple[str, bytes | None, str]]:
    ca = authority()
    yield "ca.crt", None, "No such file or directory"
    yield "ca.crt", b"", "no certificate in PEM"
    yield "ca.crt", b"\xff\xfe", "no certificate in PEM"
    yield "ca.crt", ca.issue("app01").pem, "not the certificate of a self-signed CA"
    expired = authority(begin=NOW - 3 * DAY, end=NOW - DAY)
    yield "ca.crt", expired.pem, f"the CA's certificate expired on {NOW - DAY}"
    coming = authority(begin=NOW + DAY)
    yield "ca.crt", coming.pem, f"the CA's certificate is valid from {NOW + DAY} on"
    yield "ca.crt", authority(extensions=()).pem, "a certificate that may not issue others"
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    odd = authority(extensions=[*IS_CA, (unknown, True)])
    yield "ca.crt", odd.pem, "a certificate with the unsupported extension 1.2.3.4"
    some = x509.NameConstraints([x509.DNSName("example.org")], None)
    narrow = authority(extensions=[*IS_CA, (some, False)])
    yield "ca.crt", narrow.pem, "a certificate with the unsupported extension nameConstraints"
    yield "crl.pem", None, "No such file or directory"
    yield "crl.pem", ca.pem, "no revocation list in PEM"
    yield "crl.pem", authority("Other", 2).revoking(), "a revocation list of another CA"
    yield (
        "crl.pem",
        authority(key_number=2).revoking(),
        "a revocation list that the CA did not sign",
    )
    old = ca.revoking(begin=NOW - 3 * DAY, end=NOW - DAY)
    yield "crl.pem", old, f"the CA's revocation list expired on {NOW - DAY}"
    yield "badges.key", None, "No such file or directory"
    yield "badges.key", b"nothing", "no private key that can be used"
    yield "badges.key", ca.key_pem, "not the key of "
    yield "badges.crt", None, "No such file or directory"
    yield "badges.crt", b"nothing", "no certificate in PEM"


WRONG = list(files_that_are_wrong())


# The reasons tell the time, which is not the same in all processes that run tests.
@pytest.mark.parametrize(
    ("name", "text", "reason"),
    WRONG,
    ids=[f"{name}-{number}" for number, (name, *_) in enumerate(WRONG)],
)
def test_an_unusable_certificate_file_is_a_mistake(
    config: dict[str, Any], tmp_path: Path, name: str, text: bytes | None, reason: str
) -> None:
    ca = authority()
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    (tmp_path / "crl.pem").write_bytes(ca.revoking())
    ca.issue("badges").stored(tmp_path, "badges")
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_bytes(text)
    keys = {"ca.crt": "ca_cert_location", "crl.pem": "crl_location"}
    if name == "ca.crt":
        config["crl_location"] = None

    line = only_mistake(config)

    assert f"malformed key '{keys.get(name, 'certnames')}'; expected " in line
    assert reason in line
    assert line.endswith(")")


def test_all_unusable_certificate_files_are_reported_together(config: dict[str, Any]) -> None:
    assert len(mistakes(config)) == 3


def test_without_verification_and_signing_nothing_is_required(config: dict[str, Any]) -> None:
    assert mistakes(config | {"validate_signatures": False, "sign_messages": False}) == []


def test_gnupg_requires_its_program_but_no_ca(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config |= {"crypto_backend": "gpg", "crypto_validate_backends": []}
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert mistakes(config) == []

    monkeypatch.setattr("shutil.which", lambda name: None)

    assert "(the program gpg is not installed)" in only_mistake(config)


def test_a_warning_says_that_unsigned_messages_are_dangerous(config: dict[str, Any]) -> None:
    (line,) = dangers(config | {"validate_signatures": False})

    assert "whoever can reach the bus can forge messages" in line


def test_a_warning_says_that_revoked_certificates_are_dangerous(config: dict[str, Any]) -> None:
    (line,) = dangers(config | {"crl_location": None})

    assert "'crl_location' is not set" in line


# Signing


def test_a_message_signed_by_the_daemon_is_valid(
    ca: Authority, config: dict[str, Any], tmp_path: Path
) -> None:
    message = fedmsg_body("fedbadges.badge.award", {"é": 1.0})
    verifier = make_verifier(config)
    assert verifier is not None

    Signer(tmp_path / "badges.key", tmp_path / "badges.crt")(message)

    assert message["crypto"] == "x509"
    for field in ("signature", "certificate"):
        lines = message[field].split("\n")
        assert lines.pop() == ""
        assert {len(line) for line in lines[:-1]} == {76}
    assert base64.b64decode(message["certificate"]) == (tmp_path / "badges.crt").read_bytes()
    verifier.verify_now(message, message["topic"])


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({}, SENDER),
        ({"active": True}, f"shell.{HOST}"),
        ({"active": True, "name": "relay_inbound"}, f"shell.{HOST}"),
        ({"active": True, "name": "somebody"}, "somebody"),
        ({"cert_prefix": "badges"}, f"badges.{HOST}"),
    ],
)
def test_the_name_in_certnames_follows_the_rule_of_fedmsg(
    other: dict[str, Any], expected: str
) -> None:
    assert certificate_of(other) == expected


def test_signing_requires_an_rsa_key(ca: Authority, tmp_path: Path) -> None:
    ca.issue("badges", key=curve_key()).stored(tmp_path, "badges")

    with pytest.raises(CertificateError, match="no RSA key"):
        Signer(tmp_path / "badges.key", tmp_path / "badges.crt")({})


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


def test_notices_are_signed_with_the_current_key_file(
    ca: Authority,
    config: dict[str, Any],
    tmp_path: Path,
    bus: Bus,
    caplog: pytest.LogCaptureFixture,
) -> None:
    quick = {"post_init_sleep": 0.0, "zmq_reconnect_ivl_max": 50, "endpoints": bus.endpoints}
    publisher = Publisher(config | quick)
    verifier = make_verifier(config)
    assert verifier is not None

    def publish(number: int) -> dict[str, Any]:
        publisher.publish(Notice("badge.award", {"number": number}, f"2014-{number}", 1412339405))
        return eventually(
            lambda: bus.heard("fedbadges.badge.award", lambda msg: msg["number"] == number),
            "the notice",
        )[0]

    publisher.start()
    try:
        first = publish(1)
        ca.issue("badges", key=key(2)).stored(tmp_path, "badges")
        second = publish(2)
        (tmp_path / "badges.key").unlink()
        publisher.publish(Notice("badge.award", {"number": 3}))
        eventually(lambda: caplog.records, "a line in the log")
    finally:
        publisher.stop()

    for message in (first, second):
        verifier.verify_now(message, message["topic"])
    assert first["certificate"] != second["certificate"]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("Could not publish a notice topic=badge.award body=")
    assert len(bus.heard("fedbadges.badge.award")) == 2
