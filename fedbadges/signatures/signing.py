"""Signing what the daemon says, as ``fedmsg.crypto.x509_ng`` signs."""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fedbadges.signatures.authority import ODD
from fedbadges.signatures.canonical_text import signed_text
from fedbadges.signatures.sources import Unreadable

MODNAME = "fedbadges"

#: What M2Crypto made, and fedmsg keeps to.
_LINE_LENGTH = 76


@dataclass(frozen=True)
class Signer:
    """Signs with the key and the certificate in two files, which are read each time."""

    key: Path
    certificate: Path

    def __call__(self, message: dict[str, Any]) -> None:
        """Add to a message what proves who sent it. Raises Unreadable, with what is wrong."""
        key, certificate = self._read()
        message["crypto"] = "x509"
        signature = key.sign(signed_text(message), padding.PKCS1v15(), hashes.SHA1())
        message["signature"] = _lines(signature)
        message["certificate"] = _lines(certificate.public_bytes(serialization.Encoding.PEM))

    def see_fit(self) -> None:
        """Raise Unreadable, with what is wrong, where nothing can be signed."""
        self._read()

    def _read(self) -> tuple[rsa.RSAPrivateKey, x509.Certificate]:
        try:
            key = serialization.load_pem_private_key(
                _bytes_of(self.key), password=None, unsafe_skip_rsa_key_validation=True
            )
        except ODD as error:
            raise Unreadable(f"{self.key}: no private key that can be used: {error}") from None
        try:
            certificate = x509.load_pem_x509_certificate(_bytes_of(self.certificate))
        except ODD:
            raise Unreadable(f"{self.certificate}: no certificate in PEM") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise Unreadable(f"{self.key}: no RSA key")
        if certificate.public_key() != key.public_key():
            raise Unreadable(f"{self.key}: not the key of {self.certificate}")
        return key, certificate


def sender_of(config: Mapping[str, Any]) -> str:
    """Give the name that fedmsg finds the daemon's endpoints and certificate by."""
    if config.get("active"):
        return str(config.get("name") or "relay_inbound")
    return f"{MODNAME}.{_host()}"


def certificate_of(config: Mapping[str, Any]) -> str:
    """Give the key in ``certnames`` that stands for the daemon, by fedmsg's rule."""
    if "cert_prefix" in config:
        return f"{config['cert_prefix']}.{_host()}"
    sender = sender_of(config)
    return f"shell.{_host()}" if sender == "relay_inbound" else sender


def signer_of(config: Mapping[str, Any]) -> Signer | None:
    """Give what signs for the daemon; None where nothing is signed, or not by X.509.

    Raises KeyError, ValueError or TypeError where the configuration does not say with what.
    """
    if not config.get("sign_messages") or config.get("crypto_backend") == "gpg":
        return None
    name = config["certnames"][certificate_of(config)]
    directory = Path(config.get("ssldir") or "/etc/pki/fedmsg")
    return Signer(directory / f"{name}.key", directory / f"{name}.crt")


def _host() -> str:
    return socket.gethostname().split(".", 1)[0]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None


def _lines(data: bytes) -> str:
    text = base64.b64encode(data).decode("ascii")
    return "".join(
        text[start : start + _LINE_LENGTH] + "\n" for start in range(0, len(text), _LINE_LENGTH)
    )
