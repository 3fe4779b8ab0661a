"""Verifies that a message was signed by somebody who may send it.

The answers are those of ``fedmsg.crypto.validate`` in fedmsg 1.1.7. Where that raises an error, the
message is rejected here.
"""

import base64
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import fedmsg.crypto
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fedbadges.errors import Rejected, SignatureMismatch, Unavailable
from fedbadges.signatures.authority import PARSE_ERRORS, Authority, NotIssued, utc_now
from fedbadges.signatures.authority_cache import AuthorityCache, make_source
from fedbadges.signatures.options import Options
from fedbadges.signatures.signing import canonical_text

#: How long a certificate or signature may be; both have a few thousand characters.
_MAX_CHARACTERS = 100_000

#: How many valid certificates are cached.
_MAX_SIGNERS = 1_000


@dataclass(frozen=True)
class _Signer:
    """The holder of a valid certificate, and the authority that it was verified by."""

    authority: Authority
    name: Any
    key: rsa.RSAPublicKey
    begin: datetime.datetime
    end: datetime.datetime


class Verifier:
    """Verifies signatures; thread-safe.

    ``authorities`` may be None if ``options`` do not allow X.509. ``config`` is fedmsg's, for its
    own verification of GnuPG's signatures.
    """

    def __init__(
        self,
        options: Options,
        authorities: AuthorityCache | None,
        config: Mapping[str, Any],
        clock: Callable[[], datetime.datetime] = utc_now,
    ) -> None:
        self._options = options
        self._authorities = authorities
        self._config = config
        self._clock = clock
        self._signers: dict[str, _Signer] = {}

    def start(self) -> None:
        """Start to refresh the CA."""
        if self._authorities is not None:
            self._authorities.start()

    def stop(self) -> None:
        """Stop to refresh the CA."""
        if self._authorities is not None:
            self._authorities.stop()

    def verify(self, body: Any, topic: Any) -> None:
        """Verify a message that was sent under a topic.

        Raises Rejected if it is not valid, and Unavailable while that cannot be known.
        """
        try:
            self._verify(body, topic)
        except (Rejected, Unavailable):
            raise
        except Exception as error:  # whatever a message makes Python and the libraries raise
            raise Rejected(f"its signature cannot be checked: {type(error).__name__}") from None

    def _verify(self, body: Any, topic: Any) -> None:
        if self._options.match_topic and topic != body["topic"]:
            raise Rejected("it was sent under another topic than its own")
        method = _method(body)
        if method not in self._options.methods:
            raise Rejected(f"signatures by {method} are not allowed")
        if method == "gpg":
            if not fedmsg.crypto.validate(dict(body), **self._config):
                raise SignatureMismatch("GnuPG does not verify its signature")
            return
        signature = base64.b64decode(_text(body, "signature"))
        signer = self._signer(_text(body, "certificate"))
        try:
            signer.key.verify(signature, canonical_text(body), padding.PKCS1v15(), hashes.SHA1())
        except InvalidSignature:
            raise SignatureMismatch("its signature does not fit what it says") from None
        # As ``fedmsg.crypto.utils.validate_policy`` does.
        senders = self._options.policy.get(body["topic"])
        if senders is None and self._options.nitpicky:
            raise Rejected("'routing_policy' does not have its topic", signer.name)
        if senders is not None and signer.name not in senders:
            raise Rejected("'routing_policy' does not let its signer send its topic", signer.name)

    def _signer(self, text: str) -> _Signer:
        assert self._authorities is not None
        authority, now = self._authorities.authority(), self._clock()
        cached = self._signers.get(text)
        if cached and cached.authority is authority and cached.begin <= now < cached.end:
            return cached
        try:
            certificate = x509.load_pem_x509_certificate(base64.b64decode(text))
        except PARSE_ERRORS:
            raise Rejected("its certificate cannot be read") from None
        try:
            authority.verify(certificate, now)
        except NotIssued:  # the CA may have a new certificate
            self._authorities.refresh(force=True)
            authority = self._authorities.authority()
            authority.verify(certificate, now)
        key = certificate.public_key()
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        if not isinstance(key, rsa.RSAPublicKey) or not names:
            raise Rejected("its certificate has no name, or no RSA key")
        if len(self._signers) >= _MAX_SIGNERS:
            self._signers.clear()
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        signer = self._signers[text] = _Signer(authority, names[0].value, key, begin, end)
        return signer


def make_verifier(
    options: Options, config: Mapping[str, Any], clock: Callable[[], datetime.datetime] = utc_now
) -> Verifier:
    """Create the verifier for some options; raise Unavailable if the CA cannot be read."""
    if "x509" not in options.methods:
        return Verifier(options, None, config, clock)
    ca = make_source(options.ca, options.ca_interval)
    crl = make_source(options.crl, options.crl_interval) if options.crl else None
    return Verifier(options, AuthorityCache(ca, crl, clock), config, clock)


def _method(body: Mapping[str, Any]) -> str:
    """Return how a message is signed; until fedmsg 0.7.2, messages did not say so."""
    if "crypto" in body:
        method = body["crypto"]
        if method in ("x509", "gpg"):
            return str(method)
        raise Rejected("it is signed in a way that does not exist")
    if "certificate" in body:
        return "x509"
    if "signature" in body:
        return "gpg"
    raise Rejected("it is not signed")


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if not isinstance(value, str):
        raise Rejected(f"it has no {field}")
    if len(value) > _MAX_CHARACTERS:
        raise Rejected(f"its {field} is too long")
    return value
