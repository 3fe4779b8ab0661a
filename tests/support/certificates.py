"""Certificate authorities in memory, and holders of their certificates, who sign messages."""

import base64
import datetime
import functools
import ipaddress
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fedmsg.encoding
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)

Extensions = Iterable[tuple[x509.ExtensionType, bool]]

IS_CA: Extensions = ((x509.BasicConstraints(ca=True, path_length=None), True),)


@functools.cache
def key(number: int, size: int = 2048) -> rsa.RSAPrivateKey:
    """Return the same key whenever the same number is asked for: making one takes time."""
    return rsa.generate_private_key(65537, size)


@functools.cache
def curve_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def named(*names: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in names])


def usage(**allowed: bool) -> x509.KeyUsage:
    kinds = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    kinds += ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**(dict.fromkeys(kinds, False) | allowed))


@dataclass(frozen=True)
class Holder:
    """Somebody with a certificate and the key that belongs to it."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )

    def signed(self, message: Mapping[str, Any], crypto: str | None = "x509") -> dict[str, Any]:
        """Return the message as fedmsg signs it; ``crypto`` None is as fedmsg 0.7.2 did."""
        stated = dict(message) if crypto is None else {**message, "crypto": crypto}
        text = fedmsg.encoding.dumps(stated).encode()
        if isinstance(self.key, rsa.RSAPrivateKey):
            signature = self.key.sign(text, padding.PKCS1v15(), hashes.SHA1())
        else:
            signature = self.key.sign(text, ec.ECDSA(hashes.SHA1()))
        return stated | {
            "signature": base64.encodebytes(signature).decode(),
            "certificate": base64.encodebytes(self.pem).decode(),
        }

    def stored(self, directory: Path, name: str) -> None:
        """Write the pair of files that fedmsg signs with."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.crt").write_bytes(self.pem)
        (directory / f"{name}.key").write_bytes(self.key_pem)


class Authority(Holder):
    """A certificate authority."""

    def issue(
        self,
        *names: str,
        key: Any = None,
        begin: datetime.datetime = NOW - DAY,
        end: datetime.datetime = NOW + DAY,
        extensions: Extensions = (),
        subject: x509.Name | None = None,
    ) -> Holder:
        """Issue a certificate; ``key`` is the holder's."""
        own = key or globals()["key"](1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject or named(*names))
            .issuer_name(self.certificate.subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return Holder(builder.sign(self.key, hashes.SHA256()), own)

    def revoking(
        self,
        *holders: Holder,
        begin: datetime.datetime = NOW - DAY,
        end: datetime.datetime = NOW + 5 * DAY,
        reason: x509.ReasonFlags | None = None,
        number: int | None = None,
        delta: bool = False,
    ) -> bytes:
        """Return a revocation list, in PEM; with ``delta``, the changes since list 1."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(begin)
            .next_update(end)
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), False)
        if delta:
            builder = builder.add_extension(x509.DeltaCRLIndicator(1), True)
        for holder in holders:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(holder.certificate.serial_number)
                .revocation_date(begin)
            )
            if reason is not None:
                entry = entry.add_extension(x509.CRLReason(reason), False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def authority(
    name: str = "Example CA",
    key_number: int = 0,
    begin: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + 10 * DAY,
    extensions: Extensions = IS_CA,
    signed_by: int | None = None,
) -> Authority:
    """Make an authority that signed itself, or pretends so: another key signed it."""
    own = key(key_number)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(name))
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        certificate = certificate.add_extension(extension, critical)
    signing = own if signed_by is None else key(signed_by)
    return Authority(certificate.sign(signing, hashes.SHA256()), own)


def replaced(file: Path, text: bytes) -> Path:
    """Put a file in the place of another at once, as whoever renews one should."""
    new = file.with_suffix(".new")
    new.write_bytes(text)
    return new.replace(file)


def server_context(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return what a server on loopback speaks https with, and the file of who vouches for it."""
    public = key(2).public_key()
    # From 3.13 on Python asks for all that the standard does.
    of_the_ca = [
        *IS_CA,
        (usage(key_cert_sign=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
    ]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    ca = authority("Web CA", 2, extensions=of_the_ca)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([address])
    ca.issue("127.0.0.1", extensions=[(names, False), (issuer, False)]).stored(directory, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    trusted = directory / "web-ca.pem"
    trusted.write_bytes(ca.pem)
    return context, trusted
