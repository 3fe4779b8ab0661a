"""Files and answers with certificates, keys and revocation lists: how large they may be."""

from pathlib import Path

from fedbadges.signatures.authority import CertificateError
from fedbadges.util.files import read_limited
from fedbadges.util.text import printable

#: Room for a list with some 400,000 revoked certificates.
MAX_BYTES = 16 * 1024 * 1024


class TooLarge(CertificateError):
    """A file is too large to be one of a CA."""


def read_bytes(path: Path) -> bytes:
    """Read a file; raise CertificateError if that is not possible: TooLarge if it is that."""
    try:
        content = read_limited(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CertificateError(printable(f"{path}: {reason}")) from None
    if len(content) > MAX_BYTES:
        raise TooLarge(printable(f"{path}: more than {MAX_BYTES} bytes"))
    return content
