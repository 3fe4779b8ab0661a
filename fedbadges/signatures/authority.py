"""The authority that issues certificates: its own certificate and its revocation list.

The rules are those that fedmsg leaves to OpenSSL, in ``fedmsg.crypto.x509_ng``: one authority, that
signed itself, directly above the certificates.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

E = TypeVar("E", bound=x509.ExtensionType)

#: What Python and ``cryptography`` raise over certificates that are none, or are odd.
ODD = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)


class NotIssued(Exception):
    """This authority did not issue the certificate; a newer version of it might have."""


class Invalid(Exception):
    """A certificate of the authority's that is not valid, now or ever."""


@dataclass(frozen=True)
class Authority:
    """An authority as it is known at present, with its revocation list, if it has one."""

    certificate: x509.Certificate
    revoked: x509.CertificateRevocationList | None

    def problem(self, now: datetime.datetime) -> str | None:
        """Tell why nothing can be judged by it at a moment; None where all is well."""
        return problem_of_ca(self.certificate, now) or (
            None if self.revoked is None else problem_of_crl(self.revoked, now)
        )

    def judge(self, certificate: x509.Certificate, now: datetime.datetime) -> None:
        """Return if the certificate is valid; else raise NotIssued or Invalid."""
        if certificate != self.certificate:
            self._see_issued(certificate)
        if now < certificate.not_valid_before_utc:
            raise Invalid("its certificate is not valid yet")
        if now >= certificate.not_valid_after_utc:
            raise Invalid("its certificate has expired")
        if any(_unknown_criticals(certificate.extensions)):
            raise Invalid("its certificate demands what is not known here")
        if self.revoked is not None and _is_revoked(self.revoked, certificate.serial_number):
            raise Invalid("its certificate is revoked")

    def _see_issued(self, certificate: x509.Certificate) -> None:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, *ODD):
            raise NotIssued("its certificate is not from the configured CA") from None
        if not _names_issuer(certificate, self.certificate):
            raise NotIssued("its certificate names another certificate of the CA")


def read_ca(pem: bytes) -> x509.Certificate:
    """Read the authority's certificate, the first in ``pem``; ValueError tells what is wrong."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ODD:
        raise ValueError("no certificate in PEM") from None
    problem = _problem_of_kind(certificate)
    if problem is not None:
        raise ValueError(problem)
    return certificate


def read_crl(pem: bytes, ca: x509.Certificate | None) -> x509.CertificateRevocationList:
    """Read a revocation list; ValueError tells what is wrong. ``ca`` is who must have signed it."""
    try:
        revoked = x509.load_pem_x509_crl(pem)
    except ODD:
        raise ValueError("no revocation list in PEM") from None
    problem = _problem_of_list(revoked, ca)
    if problem is not None:
        raise ValueError(problem)
    return revoked


def read_authority(ca_pem: bytes, crl_pem: bytes | None) -> Authority:
    """Read both; ValueError tells what is wrong. Whether they are in date is another question."""
    ca = read_ca(ca_pem)
    return Authority(ca, None if crl_pem is None else read_crl(crl_pem, ca))


def problem_of_ca(ca: x509.Certificate, now: datetime.datetime) -> str | None:
    """Tell why a CA's certificate is not valid at a moment; None where it is."""
    if now < ca.not_valid_before_utc:
        return f"the CA's certificate is valid from {ca.not_valid_before_utc} on"
    if now >= ca.not_valid_after_utc:
        return f"the CA's certificate expired on {ca.not_valid_after_utc}"
    return None


def problem_of_crl(revoked: x509.CertificateRevocationList, now: datetime.datetime) -> str | None:
    """Tell why a revocation list is not valid at a moment; None where it is."""
    if now < revoked.last_update_utc:
        return f"the CA's revocation list is valid from {revoked.last_update_utc} on"
    if revoked.next_update_utc is not None and now >= revoked.next_update_utc:
        return f"the CA's revocation list expired on {revoked.next_update_utc}"
    return None


def now() -> datetime.datetime:
    """Give the time by which certificates are judged."""
    return datetime.datetime.now(datetime.timezone.utc)


def _problem_of_kind(ca: x509.Certificate) -> str | None:
    """Tell why a certificate is not that of an authority; None where it is."""
    if ca.issuer != ca.subject:
        return "not the certificate of a CA that signed itself"
    try:
        unknown = list(_unknown_criticals(ca.extensions))
        if _extension(ca, x509.NameConstraints) is not None:
            unknown.append("nameConstraints")
        if not _may_issue(ca):
            return "a certificate that may not issue others"
    except ODD:
        return "a certificate that cannot be read"
    return f"a certificate with the extension {unknown[0]}, not known here" if unknown else None


def _may_issue(ca: x509.Certificate) -> bool:
    """Tell whether a certificate is a CA's, by the rules of OpenSSL's ``X509_check_ca``."""
    usage = _extension(ca, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return False
    constraints = _extension(ca, x509.BasicConstraints)
    if constraints is not None:
        return constraints.ca
    return usage is not None or ca.version is x509.Version.v1


def _problem_of_list(
    revoked: x509.CertificateRevocationList, ca: x509.Certificate | None
) -> str | None:
    """Tell why a revocation list is not one that ``ca`` made; None where it is."""
    try:
        unknown = list(_unknown_criticals(revoked.extensions))
        signed = ca is None or revoked.is_signature_valid(ca.public_key())  # type: ignore[arg-type]
    except ODD:
        return "a revocation list that cannot be read"
    if unknown:
        return f"a revocation list with the extension {unknown[0]}, not known here"
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
    """Tell whether what a certificate says of its issuer's certificate, if anything, is true."""
    said = _extension(certificate, x509.AuthorityKeyIdentifier)
    if said is None:
        return True
    key = _extension(ca, x509.SubjectKeyIdentifier)
    if said.key_identifier is not None and key is not None and said.key_identifier != key.digest:
        return False
    if said.authority_cert_serial_number not in (None, ca.serial_number):
        return False
    named = [name.value for name in said.authority_cert_issuer or () if _is_directory_name(name)]
    return not named or named[0] == ca.issuer


def _is_directory_name(name: x509.GeneralName) -> bool:
    return isinstance(name, x509.DirectoryName)


def _is_revoked(revoked: x509.CertificateRevocationList, serial: int) -> bool:
    entry = revoked.get_revoked_certificate_by_serial_number(serial)
    if entry is None:
        return False
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except (x509.ExtensionNotFound, *ODD):
        return True
    return reason is not x509.ReasonFlags.remove_from_crl


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _unknown_criticals(extensions: x509.Extensions) -> Iterator[str]:
    for extension in extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            yield extension.oid.dotted_string
