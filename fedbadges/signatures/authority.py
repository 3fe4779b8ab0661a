"""The certificate authority: which certificates it issued, and which it revoked.

fedmsg leaves this to OpenSSL, in ``fedmsg.crypto.x509_ng``, and the rules here are the same: one
self-signed authority, which itself issued the certificates.
"""

import datetime
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from fedbadges.errors import Rejected

E = TypeVar("E", bound=x509.ExtensionType)

#: The time by which certificates are verified.
utc_now = functools.partial(datetime.datetime.now, datetime.timezone.utc)
#: What ``cryptography`` raises for input that is no certificate, or a malformed one.
PARSE_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
)


class CertificateError(Exception):
    """A certificate, key or revocation list cannot be read or used; the text says why."""


class NotIssued(Rejected):
    """The authority, as it is known, did not issue the certificate; a newer one might have."""


@dataclass(frozen=True)
class Authority:
    """The authority's certificate, and its revocation list if there is one."""

    certificate: x509.Certificate
    revoked: x509.CertificateRevocationList | None

    def problem(self, now: datetime.datetime) -> str | None:
        """Return why no certificate can be verified at a time; None if they can."""
        problem = _validity_problem(self.certificate, now)
        if problem is not None or self.revoked is None:  # an empty list is falsy
            return problem
        return _validity_problem(self.revoked, now)

    def verify(self, certificate: x509.Certificate, now: datetime.datetime) -> None:
        """Verify a certificate; raise NotIssued or Rejected if it is not valid."""
        if certificate != self.certificate:
            try:
                certificate.verify_directly_issued_by(self.certificate)
            except (InvalidSignature, *PARSE_ERRORS):
                raise NotIssued("its certificate is not from the configured CA") from None
            if not _names_issuer(certificate, self.certificate):
                raise NotIssued("its certificate names another certificate of the CA")
        if now < certificate.not_valid_before_utc:
            raise Rejected("its certificate is not valid yet")
        if now >= certificate.not_valid_after_utc:
            raise Rejected("its certificate has expired")
        if any(_unknown_criticals(certificate.extensions)):
            raise Rejected("its certificate has an unknown critical extension")
        if self.revoked is not None and _is_revoked(self.revoked, certificate.serial_number):
            raise Rejected("its certificate is revoked")


def read_ca(pem: bytes, now: datetime.datetime) -> x509.Certificate:
    """Read the first certificate, that of the authority; raise CertificateError if not valid."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except PARSE_ERRORS:
        raise CertificateError("no certificate in PEM") from None
    if problem := _problem_of_ca(certificate) or _validity_problem(certificate, now):
        raise CertificateError(problem)
    return certificate


def read_crl(
    pem: bytes, ca: x509.Certificate | None, now: datetime.datetime
) -> x509.CertificateRevocationList:
    """Read a revocation list, signed by ``ca`` if that is known; raise CertificateError."""
    try:
        revoked = x509.load_pem_x509_crl(pem)
    except PARSE_ERRORS:
        raise CertificateError("no revocation list in PEM") from None
    if problem := _problem_of_crl(revoked, ca) or _validity_problem(revoked, now):
        raise CertificateError(problem)
    return revoked


def check_order(new: Authority, previous: Authority) -> None:
    """Raise CertificateError if a CA's revocation list is older than its previous one."""
    if new.revoked is None or previous.revoked is None:
        return
    # What stays the same when a CA renews its certificate.
    mine, theirs = new.certificate, previous.certificate
    same = mine.subject == theirs.subject and mine.public_key() == theirs.public_key()
    if same and _is_older(new.revoked, previous.revoked):
        raise CertificateError("a revocation list that is older than the previous one")


def _is_older(
    new: x509.CertificateRevocationList, previous: x509.CertificateRevocationList
) -> bool:
    ours, theirs = _extension(new, x509.CRLNumber), _extension(previous, x509.CRLNumber)
    if ours is not None and theirs is not None and ours.crl_number < theirs.crl_number:
        return True
    return new.last_update_utc < previous.last_update_utc


def _validity_problem(
    signed: x509.Certificate | x509.CertificateRevocationList, now: datetime.datetime
) -> str | None:
    end: datetime.datetime | None
    if isinstance(signed, x509.Certificate):
        what, begin, end = "certificate", signed.not_valid_before_utc, signed.not_valid_after_utc
    else:
        what, begin, end = "revocation list", signed.last_update_utc, signed.next_update_utc
    if now < begin:
        return f"the CA's {what} is valid from {begin} on"
    if end is not None and now >= end:
        return f"the CA's {what} expired on {end}"
    return None


def _problem_of_ca(ca: x509.Certificate) -> str | None:
    if ca.issuer != ca.subject:
        return "not the certificate of a self-signed CA"
    try:
        ca.verify_directly_issued_by(ca)
        unknown = list(_unknown_criticals(ca.extensions))
        if _extension(ca, x509.NameConstraints) is not None:
            unknown.append("nameConstraints")
        if not _may_issue(ca):
            return "a certificate that may not issue others"
    except InvalidSignature:
        return "a certificate that it did not sign itself"
    except PARSE_ERRORS:
        return "a certificate that cannot be read"
    return f"a certificate with the unsupported extension {unknown[0]}" if unknown else None


def _may_issue(ca: x509.Certificate) -> bool:
    """Return True if a certificate is a CA's, by the rules of OpenSSL's ``X509_check_ca``."""
    usage = _extension(ca, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return False
    constraints = _extension(ca, x509.BasicConstraints)
    if constraints is not None:
        return constraints.ca
    return usage is not None or ca.version is x509.Version.v1


def _problem_of_crl(
    revoked: x509.CertificateRevocationList, ca: x509.Certificate | None
) -> str | None:
    try:
        unknown = list(_unknown_criticals(revoked.extensions))
        signed = ca is None or revoked.is_signature_valid(ca.public_key())  # type: ignore[arg-type]
    except PARSE_ERRORS:
        return "a revocation list that cannot be read"
    if unknown:
        return f"a revocation list with the unsupported extension {unknown[0]}"
    if _extension(revoked, x509.DeltaCRLIndicator) is not None:
        return "a revocation list that has only changes"
    if ca is None:
        return None
    usage = _extension(ca, x509.KeyUsage)
    if revoked.issuer != ca.subject:
        return "a revocation list of another CA"
    if usage is not None and not usage.crl_sign:
        return "a revocation list by a CA that may not sign any"
    if not signed:
        return "a revocation list that the CA did not sign"
    if _is_revoked(revoked, ca.serial_number):
        return "a revocation list that revokes its own CA"
    return None


def _names_issuer(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Return True unless a certificate names another certificate of its issuer."""
    named = _extension(certificate, x509.AuthorityKeyIdentifier)
    if named is None:
        return True
    key = _extension(ca, x509.SubjectKeyIdentifier)
    if named.key_identifier is not None and key is not None and named.key_identifier != key.digest:
        return False
    if named.authority_cert_serial_number not in (None, ca.serial_number):
        return False
    names = named.authority_cert_issuer or ()
    issuers = [name.value for name in names if isinstance(name, x509.DirectoryName)]
    return not issuers or issuers[0] == ca.issuer


def _is_revoked(revoked: x509.CertificateRevocationList, serial: int) -> bool:
    entry = revoked.get_revoked_certificate_by_serial_number(serial)
    if entry is None:
        return False
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except (x509.ExtensionNotFound, *PARSE_ERRORS):
        return True
    return reason is not x509.ReasonFlags.remove_from_crl


def _extension(
    signed: x509.Certificate | x509.CertificateRevocationList, kind: type[E]
) -> E | None:
    try:
        return signed.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _unknown_criticals(extensions: x509.Extensions) -> Iterator[str]:
    for extension in extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            yield extension.oid.dotted_string
