"""What the certificates of messages may cost: memory and time, whatever they look like."""

import base64
import gc
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from support.bus import fedmsg_body
from support.certificates import DAY, NOW, Authority, Holder, authority, replaced

from fedbadges.errors import Rejected
from fedbadges.signatures.authority import Authority as KnownAuthority
from fedbadges.signatures.verifier import Verifier, make_verifier

COPIES = 999


class Site:
    """A CA in files, a verifier that knows it, and somebody with a certificate."""

    def __init__(self, directory: Path) -> None:
        self.ca = authority()
        self.app = self.ca.issue("app01")
        self.crl_file = directory / "crl.pem"
        ca_file = directory / "ca.crt"
        ca_file.write_bytes(self.ca.pem)
        self.crl_file.write_bytes(self.ca.revoking())
        made = make_verifier(
            {
                "validate_signatures": True,
                "ca_cert_location": str(ca_file),
                "crl_location": str(self.crl_file),
            }
        )
        assert made is not None
        self.verifier: Verifier = made
        self.signed = self.app.signed(fedmsg_body("logger.log", {}))

    def accepts(self, **changed: Any) -> bool:
        try:
            self.verifier.verify_now(self.signed | changed, self.signed["topic"])
        except Rejected:
            return False
        return True


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the serial numbers of the certificates that are verified from now on."""
    serials: list[int] = []
    verify = KnownAuthority.verify

    def count(self: KnownAuthority, certificate: Any, now: Any) -> None:
        serials.append(certificate.serial_number)
        verify(self, certificate, now)

    monkeypatch.setattr(KnownAuthority, "verify", count)
    return serials


def padded(pem: bytes, number: int) -> bytes:
    """Return a certificate in another form: with other text around it, or other white space."""
    pad = f"{number} " * 10_000
    match number % 3:
        case 0:
            return pad.encode() + b"\n" + pem
        case 1:
            return pem + b"\n" + pad.encode()
        case _:
            return pem.replace(b"-----\n", b"-----\n" + b"\n" * (20_000 + number), 1)


def padded_copies(pem: bytes) -> Iterator[str]:
    for number in range(COPIES):
        text = base64.b64encode(padded(pem, number)).decode()
        # base64 itself can be written in many ways, too.
        yield ("*" * number + text if number % 2 else text)[:99_999]


def test_copies_of_a_certificate_in_other_forms_need_no_memory(site: Site) -> None:
    assert site.accepts()
    # What is allocated once, by whatever the first copies need.
    for text in list(padded_copies(site.app.pem))[:3]:
        site.accepts(certificate=text)
    tracemalloc.start()
    try:
        accepted = sum(site.accepts(certificate=text) for text in padded_copies(site.app.pem))
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert accepted > COPIES // 2
    assert held < 1_000_000


def test_a_certificate_in_another_form_is_not_verified_again(
    site: Site, verified: list[int]
) -> None:
    for number in range(10):
        text = base64.b64encode(padded(site.app.pem, number)[:70_000]).decode()
        site.accepts(certificate=text)

    assert verified == [site.app.certificate.serial_number]


def test_a_certificate_that_another_ca_issued_is_not_cached(
    site: Site, verified: list[int]
) -> None:
    forged = authority(key_number=2).issue("app01")
    text = base64.b64encode(forged.pem).decode()

    assert not site.accepts(certificate=text)
    assert not site.accepts(certificate=text)

    assert verified.count(forged.certificate.serial_number) >= 2


def test_cached_certificates_are_dropped_with_the_revocation_list_that_they_were_checked_with(
    site: Site, verified: list[int]
) -> None:
    assert site.accepts()
    before = site.verifier._holders
    assert before is not None
    old = before._cache
    replaced(site.crl_file, site.ca.revoking(begin=NOW - DAY / 2))

    assert site.accepts()

    assert before._cache is not old
    assert len(verified) == 2


@pytest.mark.parametrize(
    ("field", "length", "reason"),
    [
        ("certificate", 100_001, "its certificate is too long"),
        ("signature", 10_001, "its signature is too long"),
    ],
)
@pytest.mark.parametrize("binary", [True, False])
def test_a_long_certificate_or_signature_is_rejected_before_it_is_decoded(
    site: Site, field: str, length: int, reason: str, binary: bool
) -> None:
    value = b"\xff" * length if binary else "\n" * length

    with pytest.raises(Rejected, match=reason):
        site.verifier.verify_now(site.signed | {field: value}, site.signed["topic"])


def huge_key(bits: int, exponent: int) -> Any:
    """Return a holder's key of that size, whose public half alone is real."""
    public = RSAPublicNumbers(exponent, (1 << (bits - 1)) | 1).public_key()
    return type("Key", (), {"public_key": lambda self: public})()


@pytest.mark.parametrize(
    ("bits", "exponent"), [(16_384, 65_537), (100_000, 65_537), (3_072, (1 << 3_070) | 1)]
)
def test_a_huge_key_in_a_certificate_does_not_take_long(
    site: Site, bits: int, exponent: int
) -> None:
    holder = site.ca.issue("app01", key=huge_key(bits, exponent))
    changed = {
        "certificate": base64.b64encode(holder.pem).decode(),
        "signature": base64.b64encode(b"\0" * (min(bits, 16_384) // 8 - 1) + b"\2").decode(),
    }

    begin = time.process_time()
    for _ in range(5):
        assert not site.accepts(**changed)

    # It is a matter of milliseconds; a private operation with such a key takes minutes.
    assert time.process_time() - begin < 5


def test_a_certificate_with_an_algorithm_that_nobody_knows_is_rejected(site: Site) -> None:
    der = site.app.certificate.public_bytes(serialization.Encoding.DER)
    # sha256WithRSAEncryption, and one of the same length that does not exist.
    known, unknown = (bytes.fromhex(f"06092a864886f70d0101{end}") for end in ("0b", "63"))
    for number in (1, 2):  # in the signed part only, and in both places
        changed = der.replace(known, unknown, number)
        lines = base64.encodebytes(changed)
        pem = b"-----BEGIN CERTIFICATE-----\n" + lines + b"-----END CERTIFICATE-----\n"

        assert not site.accepts(certificate=base64.b64encode(pem).decode())


def test_holders_are_those_of_the_certificates_however_they_are_written(site: Site) -> None:
    """A certificate's text must never stand for another certificate."""
    other: Holder = Authority(site.ca.certificate, site.ca.key).issue("app02")
    both = site.app.pem + other.pem, other.pem + site.app.pem
    holders = site.verifier._holders
    assert holders is not None

    names = [holders.holder(base64.b64encode(text).decode()).name for text in (*both, *both)]

    assert names == ["app01", "app02", "app01", "app02"]
