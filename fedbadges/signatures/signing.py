"""Signs the daemon's own messages, as ``fedmsg.crypto.x509_ng`` does."""

import base64
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fedmsg.encoding
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fedbadges.signatures.authority import PARSE_ERRORS, CertificateError
from fedbadges.signatures.files import read_bytes

MODNAME = "fedbadges"
#: Fields that signing adds, and that are not signed themselves.
_CREDENTIALS = ("signature", "certificate")


@dataclass(frozen=True)
class Signer:
    """Signs with a key and a certificate from files, which are read each time."""

    key: Path
    certificate: Path

    def __call__(self, message: dict[str, Any]) -> None:
        """Add a signature to a message; raise CertificateError if that is not possible."""
        key, certificate = self.read()
        message["crypto"] = "x509"
        signature = key.sign(canonical_text(message), padding.PKCS1v15(), hashes.SHA1())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        message["signature"] = base64.encodebytes(signature).decode("ascii")
        message["certificate"] = base64.encodebytes(pem).decode("ascii")

    def read(self) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
        """Read the files; raise CertificateError if nothing can be signed with them."""
        try:
            key = serialization.load_pem_private_key(
                read_bytes(self.key), password=None, unsafe_skip_rsa_key_validation=True
            )
        except PARSE_ERRORS as error:
            raise CertificateError(
                f"{self.key}: no private key that can be used: {error}"
            ) from None
        try:
            certificate = x509.load_pem_x509_certificate(read_bytes(self.certificate))
        except PARSE_ERRORS:
            raise CertificateError(f"{self.certificate}: no certificate in PEM") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise CertificateError(f"{self.key}: no RSA key")
        if certificate.public_key() != key.public_key():
            raise CertificateError(f"{self.key}: not the key of {self.certificate}")
        return key, certificate


def canonical_text(message: Mapping[str, Any]) -> bytes:
    """Return what fedmsg signs of a message; equal messages have equal texts."""
    signed = {key: value for key, value in message.items() if key not in _CREDENTIALS}
    return bytes(fedmsg.encoding.dumps(signed).encode("utf-8"))


def sender_of(config: Mapping[str, Any]) -> str:
    """Return the name by which fedmsg finds the daemon's endpoints and certificate."""
    if config.get("active"):
        return str(config.get("name") or "relay_inbound")
    return f"{MODNAME}.{_host()}"


def certificate_of(config: Mapping[str, Any]) -> str:
    """Return the daemon's key in ``certnames``, by fedmsg's rule."""
    if "cert_prefix" in config:
        return f"{config['cert_prefix']}.{_host()}"
    sender = sender_of(config)
    return f"shell.{_host()}" if sender == "relay_inbound" else sender


def signer_of(config: Mapping[str, Any]) -> Signer | None:
    """Return the signer of the daemon's messages; None if they are not signed by X.509.

    Raises KeyError, ValueError or TypeError if no certificate is configured.
    """
    if not config.get("sign_messages") or config.get("crypto_backend") == "gpg":
        return None
    name = config["certnames"][certificate_of(config)]
    directory = Path(config.get("ssldir") or "/etc/pki/fedmsg")
    return Signer(directory / f"{name}.key", directory / f"{name}.crt")


def _host() -> str:
    return socket.gethostname().split(".", 1)[0]
