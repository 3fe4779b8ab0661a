"""Which messages are valid: the same as with fedmsg itself, but with today's libraries."""

import ast
import base64
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from fedmsg.crypto import gpg
from support.bus import fedmsg_body
from support.certificates import (
    DAY,
    IS_CA,
    NOW,
    Authority,
    Holder,
    authority,
    curve_key,
    key,
    usage,
)

from fedbadges.errors import Rejected, Unavailable
from fedbadges.signatures.signing import Signer
from fedbadges.signatures.verifier import Verifier, make_verifier

REFERENCE = os.environ.get("FEDBADGES_REFERENCE_PYTHON")
"""An interpreter with fedmsg 1.1.7, pyOpenSSL 24.2 and cryptography 43, whose answers count."""

TOPIC = "org.fedoraproject.dev.logger.log"


@dataclass(frozen=True)
class Case:
    name: str
    valid: bool
    message: dict[str, Any]
    config: dict[str, Any]


class Table:
    """The cases, with the files that they need."""

    def __init__(self, directory: Path) -> None:
        self.cases: list[Case] = []
        self._directory = directory
        self.ca = authority()
        self.app = self.ca.issue("app01")
        self.message = fedmsg_body("logger.log", {"n": 1})

    def file(self, text: bytes) -> str:
        path = self._directory / f"{len(list(self._directory.iterdir()))}.pem"
        path.write_bytes(text)
        return str(path)

    def config(self) -> dict[str, Any]:
        """Returns a configuration with the usual CA and an empty revocation list."""
        return {
            "validate_signatures": True,
            "ca_cert_location": self.file(self.ca.pem),
            "crl_location": self.file(self.ca.revoking()),
        }

    def add(
        self,
        valid: bool,
        name: str,
        message: dict[str, Any],
        ca: bytes | None = None,
        crl: bytes | None = None,
        **config: Any,
    ) -> None:
        """Adds a case; without ``ca`` the usual one is configured, with an empty list."""
        if ca is None and crl is None:
            crl = self.ca.revoking()
        files = {"ca_cert_location": self.file(ca or self.ca.pem), "crl_location": None}
        if crl:
            files["crl_location"] = self.file(crl)
        self.cases.append(
            Case(name, valid, message, {"validate_signatures": True} | files | config)
        )


def add_texts(table: Table) -> None:
    """Add messages with odd texts and in odd forms."""
    sign = table.app.signed
    for name, msg in {
        "nothing": {},
        "text beyond ASCII": {"é": "Grüße, 世界 🏅"},
        "numbers": {"a": 1, "b": 1.0, "c": -0.0, "d": 1e22, "e": 0.1, "f": 10**30, "g": 1e-7},
        "odd values": {"a": None, "b": [True, False, [], {}], "c": "\x00\u2028</", "": ""},
        "half a character": {"a": "\ud83c"},
        "text in place of a mapping": "text",
    }.items():
        table.add(True, name, sign(table.message | {"msg": msg}))
    good = sign(table.message)
    table.add(True, "another order", dict(reversed(good.items())))
    table.add(True, "headers that were signed", sign(table.message | {"headers": {"a": "b"}}))
    table.add(True, "before fedmsg 0.7.3", table.app.signed(table.message, crypto=None))
    credentials = ("signature", "certificate")
    table.add(
        True,
        "without line breaks",
        good | {name: good[name].replace("\n", "") for name in credentials},
    )
    table.add(True, "bytes", good | {name: good[name].encode() for name in credentials})
    table.add(True, "noise in base64", good | {"signature": " *" + good["signature"]})


def add_forgeries(table: Table) -> None:
    """Add messages that differ from what was signed."""
    good = table.app.signed(table.message)
    other = table.app.signed(table.message | {"msg": {"n": 2}})
    numbers = table.app.signed(table.message | {"msg": {"n": 1.0}})
    for name, changed in {
        "another body": {"msg": {"n": 2}},
        "another topic": {"topic": f"{TOPIC}.other"},
        "another time": {"timestamp": good["timestamp"] + 1},
        "a float": {"timestamp": float(good["timestamp"])},
        "another signer": {"username": "mallory"},
        "something added": {"headers": {}},
        "another message's signature": {"signature": other["signature"]},
        "no signature": {"signature": ""},
        "half a signature": {"signature": good["signature"][:100]},
        "no base64": {"signature": "A"},
        "letters beyond ASCII": {"signature": "é"},
        "half a character as signature": {"signature": "\ud800"},
        "NUL": {"signature": "\x00"},
        "signature is a number": {"signature": 5},
        "signature is a list": {"signature": [good["signature"]]},
        "signature is nothing": {"signature": None},
        "broken bytes": {"signature": b"\xff"},
        "plain PEM": {"certificate": table.app.pem.decode()},
        "no certificate": {"certificate": ""},
        "certificate is a mapping": {"certificate": {}},
        "not a certificate": {"certificate": base64.b64encode(b"x" * 1000).decode()},
        "a key as certificate": {"certificate": base64.b64encode(table.app.key_pem).decode()},
        "GnuPG, which is not allowed": {"crypto": "gpg"},
        "signed in no way": {"crypto": "rot13"},
        "signed in a list": {"crypto": ["x509"]},
        "signed with nothing": {"crypto": None},
    }.items():
        table.add(False, name, good | changed)
    table.add(False, "an integer", numbers | {"msg": {"n": 1}})
    table.add(False, "unsigned", table.message)
    for field in ("signature", "certificate", "msg", "topic", "crypto"):
        table.add(False, f"without {field}", {k: v for k, v in good.items() if k != field})


def add_certificates(table: Table) -> None:
    """Add certificates of the signer."""
    ca, message = table.ca, table.message

    def add(valid: bool, name: str, signer: Holder) -> None:
        table.add(valid, name, signer.signed(message))

    add(True, "the CA itself", ca)
    add(False, "expired", ca.issue("app01", begin=NOW - 3 * DAY, end=NOW - DAY))
    add(False, "not valid yet", ca.issue("app01", begin=NOW + DAY / 2, end=NOW + DAY))
    add(False, "another CA", authority("Other CA", 2).issue("app01"))
    add(False, "another CA of the same name", authority(key_number=2).issue("app01"))
    add(False, "signed by nobody else", authority("app01", 2))
    add(False, "signed by somebody with a certificate", Authority(*pair(table.app)).issue("app02"))
    between = Authority(*pair(ca.issue("Between", key=key(2), extensions=IS_CA)))
    add(False, "a CA in between", between.issue("app01"))
    add(True, "a CA's certificate", between)
    add(True, "a small key", ca.issue("app01", key=key(3, 1024)))
    add(False, "a key on a curve", ca.issue("app01", key=curve_key()))
    add(False, "no name", ca.issue(subject=x509.Name([])))
    known = [(usage(digital_signature=True), True), (x509.BasicConstraints(False, None), True)]
    known += [(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), False)]
    add(True, "with the usual extensions", ca.issue("app01", extensions=known))
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    add(True, "with an unknown extension", ca.issue("app01", extensions=[(unknown, False)]))
    add(False, "that demands the unknown", ca.issue("app01", extensions=[(unknown, True)]))


def pair(holder: Holder) -> tuple[x509.Certificate, Any]:
    return holder.certificate, holder.key


def add_authorities(table: Table) -> None:
    """Add certificates of the CA."""

    def add(
        valid: bool, name: str, ca: Authority, *crl: bytes, pem: bytes | None = None, **how: Any
    ) -> None:
        message = ca.issue("app01", **how).signed(table.message)
        table.add(valid, name, message, pem or ca.pem, *crl)

    second = authority("Second CA", 2)
    add(True, "no revocation list", table.ca)
    add(True, "the first of two CAs", table.ca, pem=table.ca.pem + second.pem)
    add(False, "the second of two CAs", second, pem=table.ca.pem + second.pem)
    add(True, "text around the CA", table.ca, pem=b"CA:\n" + table.ca.pem + b"that was it\n")
    add(False, "no CA", table.ca, pem=b"nothing")
    expired = authority(begin=NOW - 3 * DAY, end=NOW - DAY)
    add(False, "an expired CA", expired)
    add(False, "no CA's certificate", authority(extensions=()))
    add(False, "not a CA", authority(extensions=[(x509.BasicConstraints(False, None), True)]))
    shallow = authority(extensions=[(x509.BasicConstraints(True, 0), True)])
    add(True, "a CA above nobody's CA", shallow, shallow.revoking())
    mute = authority(extensions=[*IS_CA, (usage(digital_signature=True), True)])
    add(False, "a CA that may not issue", mute)
    issuer = authority(extensions=[*IS_CA, (usage(key_cert_sign=True), True)])
    add(True, "a CA that may issue", issuer)
    add(False, "a CA that may not revoke", issuer, issuer.revoking())
    full = authority(extensions=[*IS_CA, (usage(key_cert_sign=True, crl_sign=True), True)])
    add(True, "a CA that may both", full, full.revoking())
    under = Authority(*pair(table.ca.issue("Under", key=key(2), extensions=IS_CA)))
    add(False, "a CA below another", under)
    ours = x509.SubjectKeyIdentifier.from_public_key(key(0).public_key())
    marked = authority(extensions=[*IS_CA, (ours, False)])
    for named, valid in ((key(0), True), (key(2), False)):
        said = x509.AuthorityKeyIdentifier.from_issuer_public_key(named.public_key())
        add(valid, f"names the CA's key: {valid}", marked, extensions=[(said, False)])
    name = x509.DirectoryName(table.ca.certificate.subject)
    other = x509.DirectoryName(second.certificate.subject)
    serial = table.ca.certificate.serial_number
    for said, valid in (((name, serial), True), ((name, 5), False), ((other, serial), False)):
        names = x509.AuthorityKeyIdentifier(None, [said[0]], said[1])
        extensions = [(names, False)]
        add(valid, f"names the CA: {said[1] == serial} {valid}", table.ca, extensions=extensions)


def add_revocations(table: Table) -> None:
    """Add revocation lists."""
    ca, message = table.ca, table.app.signed(table.message)

    def add(valid: bool, name: str, crl: bytes) -> None:
        table.add(valid, name, message, crl=crl)

    add(False, "revoked", ca.revoking(table.app))
    add(True, "another is revoked", ca.revoking(ca.issue("app02")))
    for reason in (x509.ReasonFlags.key_compromise, x509.ReasonFlags.certificate_hold):
        add(False, f"revoked for {reason.value}", ca.revoking(table.app, reason=reason))
    again = x509.ReasonFlags.remove_from_crl
    add(True, "revoked no more", ca.revoking(table.app, reason=again))
    add(False, "an expired list", ca.revoking(begin=NOW - 3 * DAY, end=NOW - DAY))
    add(False, "a list of tomorrow", ca.revoking(begin=NOW + DAY / 2))
    add(False, "another CA's list", authority("Other CA", 2).revoking())
    add(False, "a list that others made", authority(key_number=2).revoking())
    add(False, "a list that revokes the CA", ca.revoking(ca))
    add(False, "no list", b"nothing")


def add_policies(table: Table) -> None:
    """Add routing policies."""
    message = table.app.signed(table.message)

    def add(valid: bool, name: str, policy: dict[str, list[str]], **config: Any) -> None:
        table.add(valid, name, message, routing_policy=policy, **config)

    add(True, "allowed", {TOPIC: ["app00", "app01"]})
    add(False, "not allowed", {TOPIC: ["app00", "app012", "App01"]})
    add(False, "nobody is allowed", {TOPIC: []})
    add(True, "of another topic", {f"{TOPIC}.other": ["app00"]})
    add(True, "nothing is said of it", {}, routing_nitpicky=False)
    add(False, "nothing is said of it, nitpicky", {}, routing_nitpicky=True)
    add(True, "allowed, nitpicky", {TOPIC: ["app01"]}, routing_nitpicky=True)
    twice = table.ca.issue("app01", "app02").signed(table.message)
    for name, valid in (("app01", True), ("app02", False)):
        table.add(valid, f"{name} of two names", twice, routing_policy={TOPIC: [name]})
    table.add(True, "X.509 beside GnuPG", message, crypto_validate_backends=["gpg", "x509"])
    table.add(False, "GnuPG alone", message, crypto_validate_backends=["gpg"])
    table.add(True, "as it is signed here", message, crypto_backend="x509")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    table = Table(tmp_path_factory.mktemp("cases"))
    for add in (
        add_texts,
        add_forgeries,
        add_certificates,
        add_authorities,
        add_revocations,
        add_policies,
    ):
        add(table)
    named = {case.name: case for case in table.cases}
    assert len(named) == len(table.cases)
    return named


def accepts(message: dict[str, Any], config: dict[str, Any]) -> bool:
    try:
        verifier_of(config).verify_now(message, message.get("topic"))
    except (Rejected, Unavailable):
        return False
    return True


def test_each_case_of_the_table_is_accepted_or_rejected(cases: dict[str, Case]) -> None:
    answers = {name: accepts(case.message, case.config) for name, case in cases.items()}

    assert answers == {name: case.valid for name, case in cases.items()}
    assert {True, False} <= set(answers.values())


ANSWERS = """
import ast, sys
import fedmsg.crypto
assert fedmsg.crypto.x509_ng._cryptography

def validate(message, config):
    fedmsg.crypto._validate_implementations = None
    try:
        return fedmsg.crypto.validate(message, **config)
    except Exception:
        return False

print([validate(*case) for case in ast.literal_eval(sys.stdin.read())])
"""

SIGNED = """
import ast, sys
import fedmsg.crypto
message, config = ast.literal_eval(sys.stdin.read())
print(fedmsg.crypto.sign(message, **config))
"""


def ask_reference(script: str, question: object) -> Any:
    assert REFERENCE is not None
    done = subprocess.run(
        [REFERENCE, "-c", script], input=ascii(question), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout)


needs_reference = pytest.mark.skipif(
    not REFERENCE, reason="FEDBADGES_REFERENCE_PYTHON names no interpreter with fedmsg's libraries"
)


@needs_reference
def test_fedmsg_itself_answers_as_the_table(cases: dict[str, Case]) -> None:
    asked = [(case.message, case.config) for case in cases.values()]

    answers = dict(zip(cases, ask_reference(ANSWERS, asked), strict=True))

    assert answers == {name: case.valid for name, case in cases.items()}


@needs_reference
def test_messages_signed_by_fedmsg_are_valid_and_identical(table: Table, tmp_path: Path) -> None:
    table.app.stored(tmp_path / "ssl", "app01")
    how = {"ssldir": str(tmp_path / "ssl"), "certname": "app01"}
    message = table.message | {"msg": {"é": [1.0, None, "\ud83c"]}}

    signed = ask_reference(SIGNED, (message, how))

    assert accepts(signed, table.config())
    ours = dict(message)
    Signer(tmp_path / "ssl/app01.key", tmp_path / "ssl/app01.crt")(ours)
    assert ours == signed


@needs_reference
def test_fedmsg_accepts_messages_signed_here(table: Table, tmp_path: Path) -> None:
    signed = table.message | {"msg": {"é": [1.0, None, "\ud83c"]}}
    table.app.stored(tmp_path, "app01")

    Signer(tmp_path / "app01.key", tmp_path / "app01.crt")(signed)

    assert ask_reference(ANSWERS, [(signed, table.config())]) == [True]


# Messages of strangers


@pytest.fixture
def table(tmp_path: Path) -> Table:
    (tmp_path / "files").mkdir()
    return Table(tmp_path / "files")


def verifier_of(config: dict[str, Any]) -> Verifier:
    verifier = make_verifier(config)
    assert verifier is not None
    return verifier


def rejection(verifier: Verifier, message: Any, envelope: Any = TOPIC) -> str:
    with pytest.raises(RuntimeWarning) as caught:
        verifier.verify_now(message, envelope)
    return str(caught.value)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


ODD = [
    None,
    5,
    "",
    "x",
    b"x",
    "\ud800",
    "\x00",
    10**400,
    float("nan"),
    [],
    {},
    [[]],
    "A" * 10_000_000,
    nested(100_000),
]


@pytest.mark.parametrize("field", ["signature", "certificate", "crypto", "topic", "msg", "headers"])
@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_odd_values_in_a_message_are_rejected_with_a_short_reason(
    table: Table, field: str, value: Any
) -> None:
    verifier = verifier_of(table.config())

    reason = rejection(verifier, table.app.signed(table.message) | {field: value})

    assert "\n" not in reason
    assert len(reason) < 200


@pytest.mark.parametrize("body", [None, 5, "text", [], {}, {"topic": TOPIC}])
def test_a_body_that_is_no_message_is_rejected(table: Table, body: Any) -> None:
    assert rejection(verifier_of(table.config()), body)


def test_an_overlong_certificate_is_rejected_before_it_is_decoded(table: Table) -> None:
    long = table.app.signed(table.message) | {"certificate": "\n" * 100_001}

    assert rejection(verifier_of(table.config()), long) == "its certificate is too long"


def test_a_message_sent_under_another_topic_is_rejected(table: Table) -> None:
    """The signature covers the topic in the message, but subscriptions use the one outside."""
    verifier = verifier_of(table.config())
    message = table.app.signed(table.message)

    for envelope in (f"{TOPIC}.other", None, TOPIC.encode()):
        assert rejection(verifier, message, envelope) == (
            "it was sent under another topic than its own"
        )
    verifier.verify_now(message, TOPIC)


def test_without_zeromq_a_message_may_be_sent_under_the_name_of_a_queue(table: Table) -> None:
    verifier = verifier_of(table.config() | {"zmq_enabled": False})

    verifier.verify_now(table.app.signed(table.message), "/queue/badges")


def test_a_rejection_by_the_routing_policy_names_the_signer(table: Table) -> None:
    config = table.config() | {"routing_policy": {TOPIC: ["app02"]}}

    assert rejection(verifier_of(config), table.app.signed(table.message)) == (
        "'routing_policy' does not let its signer send its topic (signed by 'app01')"
    )


def test_a_cached_certificate_expires(table: Table) -> None:
    moment = NOW
    verifier = make_verifier(table.config(), lambda: moment)
    assert verifier is not None
    for number in range(2):
        verifier.verify_now(table.app.signed(table.message | {"i": number}), TOPIC)

    moment = NOW + DAY

    assert rejection(verifier, table.app.signed(table.message)) == "its certificate has expired"


def test_the_cache_of_certificates_is_bounded(table: Table) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedbadges.signatures.signers._MAX_CACHED", 2)
        verifier = verifier_of(table.config())
        for _ in range(2):
            for number in range(5):
                holder = table.ca.issue(f"app{number}")
                verifier.verify_now(holder.signed(table.message), TOPIC)
                holders = verifier._holders
                assert holders is not None
                assert holders._cache is not None
                assert len(holders._cache.by_fingerprint) <= 2
                assert len(holders._cache.by_text) <= 2


@pytest.fixture(scope="module")
def gpg_home() -> Iterator[str]:
    """Create a home of GnuPG with a key; its path is short because a socket is in it."""
    home = tempfile.mkdtemp(prefix="gpg-")
    batch = ["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*batch, "--quick-generate-key", "badges@example.org", "ed25519"], check=True)
    yield home
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
    # The agent may still be removing its sockets.
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.skipif(not shutil.which("gpg"), reason="there is no gpg")
@pytest.mark.parametrize("backend", ["gpg", "x509"])
def test_gnupg_signatures_are_verified_by_fedmsg(
    table: Table, gpg_home: str, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedmsg.crypto._validate_implementations", None)
    config = table.config() | {"gpg_home": gpg_home, "crypto_backend": backend}
    config |= {"crypto_validate_backends": ["gpg", "x509"] if backend == "x509" else []}
    key = {"gpg_home": gpg_home, "gpg_signing_key": "badges@example.org"}
    signed = gpg.sign(dict(table.message), **key)
    signed["signature"] = signed["signature"].decode()
    verifier = verifier_of(config)

    verifier.verify_now(signed, TOPIC)

    assert rejection(verifier, signed | {"msg": {}}) == "GnuPG does not verify its signature"
    if backend == "x509":
        verifier.verify_now(table.app.signed(table.message), TOPIC)
    else:
        assert "x509 are not allowed" in rejection(verifier, table.app.signed(table.message))
