"""The holders of valid certificates, cached so that each is parsed and verified once."""

import base64
import datetime
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from fedbadges.errors import Rejected
from fedbadges.signatures.authority import PARSE_ERRORS, Authority, NotIssued
from fedbadges.signatures.authority_cache import AuthorityCache
from fedbadges.util.caching import BoundedDict

#: How many certificates are cached, and how many of the texts that they came in.
_MAX_CACHED = 1_000


@dataclass(frozen=True)
class CertificateHolder:
    """The holder of a valid certificate: name, public key, and for how long it is valid."""

    name: Any
    key: rsa.RSAPublicKey
    begin: datetime.datetime
    end: datetime.datetime


def _make_dict() -> BoundedDict[bytes, CertificateHolder]:
    return BoundedDict(_MAX_CACHED)


@dataclass(frozen=True)
class _Cache:
    """The holders of certificates that one authority issued."""

    authority: Authority
    #: By the hash of the certificate itself. Whoever sends a message can write the same certificate
    #: in any number of ways, so its text must not be a key.
    by_fingerprint: BoundedDict[bytes, CertificateHolder] = field(default_factory=_make_dict)
    #: By the hash of such a text, which spares most messages the parsing.
    by_text: BoundedDict[bytes, CertificateHolder] = field(default_factory=_make_dict)


class CertificateHolders:
    """Finds the holders of certificates, as the current authority knows them; thread-safe."""

    def __init__(self, authorities: AuthorityCache, clock: Callable[[], datetime.datetime]) -> None:
        self._authorities = authorities
        self._clock = clock
        self._cache: _Cache | None = None

    def holder(self, text: str) -> CertificateHolder:
        """Return the holder of a certificate, PEM in base64; raise Rejected if it is not valid.

        Raises Unavailable without a usable authority.
        """
        cache, now = self._current_cache(), self._clock()
        text_hash = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        cached = cache.by_text.get(text_hash)
        if cached and cached.begin <= now < cached.end:
            return cached
        certificate = _parse(text)
        fingerprint = certificate.fingerprint(hashes.SHA256())
        holder = cache.by_fingerprint.get(fingerprint)
        if holder is None or not holder.begin <= now < holder.end:
            cache = self._verify(certificate, cache, now)
            holder = cache.by_fingerprint[fingerprint] = _holder_of(certificate)
        cache.by_text[text_hash] = holder
        return holder

    def _current_cache(self) -> _Cache:
        authority, cache = self._authorities.authority(), self._cache
        if cache is None or cache.authority is not authority:
            cache = self._cache = _Cache(authority)
        return cache

    def _verify(
        self, certificate: x509.Certificate, cache: _Cache, now: datetime.datetime
    ) -> _Cache:
        """Verify a certificate; return the cache of the authority that it was verified by."""
        try:
            cache.authority.verify(certificate, now)
        except NotIssued:  # the CA may have a new certificate
            self._authorities.refresh(force=True)
            cache = self._current_cache()
            cache.authority.verify(certificate, now)
        return cache


def _parse(text: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(base64.b64decode(text))
    except PARSE_ERRORS:
        raise Rejected("its certificate cannot be read") from None


def _holder_of(certificate: x509.Certificate) -> CertificateHolder:
    key = certificate.public_key()
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if not isinstance(key, rsa.RSAPublicKey) or not names:
        raise Rejected("its certificate has no name, or no RSA key")
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return CertificateHolder(names[0].value, key, begin, end)
