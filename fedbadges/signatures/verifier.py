"""Whether a message was signed by somebody who may send it.

The answers are those of ``fedmsg.crypto.validate`` in fedmsg 1.1.7, where it raises instead of
answering too: such a message is rejected.
"""

from __future__ import annotations

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
from fedbadges.signatures.authority import ODD, Authority, Invalid, NotIssued, now
from fedbadges.signatures.authority_cache import AuthorityCache
from fedbadges.signatures.canonical_text import signed_text
from fedbadges.signatures.options import Options
from fedbadges.signatures.sources import source

#: How many characters of a certificate or signature are looked at; both have a few thousand.
_MOST_CHARACTERS = 100_000

#: How many certificates are remembered as valid.
_MOST_SIGNERS = 1_000


@dataclass(frozen=True)
class _Signer:
    """Whose certificate was found valid, by which authority."""

    authority: Authority
    name: Any
    key: rsa.RSAPublicKey
    begin: datetime.datetime
    end: datetime.datetime


class Verifier:
    """Checks signatures; safe to use from several threads.

    ``keeper`` may be None where X.509 is not among the methods that ``options`` allow. ``config``
    is fedmsg's, for its own check of GnuPG's signatures.
    """

    def __init__(
        self,
        options: Options,
        keeper: AuthorityCache | None,
        config: Mapping[str, Any],
        clock: Callable[[], datetime.datetime] = now,
    ) -> None:
        self._options = options
        self._keeper = keeper
        self._config = config
        self._clock = clock
        self._signers: dict[str, _Signer] = {}

    def start(self) -> None:
        """Begin to keep what is known of the CA up to date."""
        if self._keeper is not None:
            self._keeper.start()

    def stop(self) -> None:
        """End that."""
        if self._keeper is not None:
            self._keeper.stop()

    def check(self, body: Any, envelope: Any) -> None:
        """Return if a message is to be heeded; ``envelope`` is the topic that it was sent under.

        Raises Rejected, or Unavailable while nothing can be checked.
        """
        try:
            self._check(body, envelope)
        except (Rejected, Unavailable):
            raise
        except Exception as error:  # whatever a message makes Python and the libraries raise
            raise Rejected(f"its signature cannot be checked: {type(error).__name__}") from None

    def _check(self, body: Any, envelope: Any) -> None:
        if self._options.envelopes and envelope != body["topic"]:
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
            signer.key.verify(signature, signed_text(body), padding.PKCS1v15(), hashes.SHA1())
        except InvalidSignature:
            raise SignatureMismatch("its signature does not fit what it says") from None
        self._see_allowed(body["topic"], signer.name)

    def _signer(self, text: str) -> _Signer:
        assert self._keeper is not None
        authority, moment = self._keeper.authority(), self._clock()
        known = self._signers.get(text)
        if known is not None and known.authority is authority and known.begin <= moment < known.end:
            return known
        try:
            certificate = x509.load_pem_x509_certificate(base64.b64decode(text))
        except ODD:
            raise Rejected("its certificate cannot be read") from None
        authority = self._judge(certificate, authority, moment)
        key = certificate.public_key()
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        if not isinstance(key, rsa.RSAPublicKey) or not names:
            raise Rejected("its certificate has no name, or no RSA key")
        if len(self._signers) >= _MOST_SIGNERS:
            self._signers.clear()
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        signer = _Signer(authority, names[0].value, key, begin, end)
        self._signers[text] = signer
        return signer

    def _judge(
        self, certificate: x509.Certificate, authority: Authority, moment: datetime.datetime
    ) -> Authority:
        """Give the authority that found the certificate valid, which may be a newer one."""
        assert self._keeper is not None
        try:
            try:
                authority.judge(certificate, moment)
            except NotIssued:
                # The CA may have a new certificate.
                self._keeper.renew(insist=True)
                newer = self._keeper.authority()
                if newer is authority:
                    raise
                newer.judge(certificate, moment)
                return newer
        except (NotIssued, Invalid) as error:
            raise Rejected(str(error)) from None
        return authority

    def _see_allowed(self, topic: Any, signer: Any) -> None:
        """Do what ``fedmsg.crypto.utils.validate_policy`` does."""
        senders = self._options.policy.get(topic)
        if senders is None and self._options.nitpicky:
            raise Rejected("'routing_policy' does not have its topic", signer)
        if senders is not None and signer not in senders:
            raise Rejected("'routing_policy' does not let its signer send its topic", signer)


def make_verifier(
    options: Options,
    config: Mapping[str, Any],
    clock: Callable[[], datetime.datetime] = now,
) -> Verifier:
    """Make what checks the signatures of messages; raises Unavailable where that cannot be."""
    if "x509" not in options.methods:
        return Verifier(options, None, config, clock)
    ca = source(options.ca, options.ca_interval)
    crl = None if options.crl is None else source(options.crl, options.crl_interval)
    return Verifier(options, AuthorityCache(ca, crl, clock), config, clock)


def _method(body: Mapping[str, Any]) -> str:
    """Tell how a message is signed; until fedmsg 0.7.2 they did not say so themselves."""
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
    if len(value) > _MOST_CHARACTERS:
        raise Rejected(f"its {field} is too long")
    return value
