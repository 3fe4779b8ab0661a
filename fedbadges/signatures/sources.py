"""Where the CA's certificate and revocation list are read from: a file, or a URL."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import requests

from fedbadges.signatures.authority import CertificateError
from fedbadges.util.http import configure_session, error_reason, strip_credentials
from fedbadges.util.text import printable

#: Seconds between two requests that are forced or repeat a failed one.
_MIN_INTERVAL = 120.0

_TIMEOUT = 5.0


class File:
    """A path, which is read again if its file changed."""

    remote = False

    def __init__(self, path: str) -> None:
        self.content = b""
        self._path = Path(path)
        self._seen: tuple[int, int, int] | None = None

    def refresh(self, *, force: bool = False) -> bool:
        """Return True if there is new ``content``; raise CertificateError if it cannot be read."""
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._seen:
                return False
            self.content = self._path.read_bytes()
        except (OSError, ValueError) as error:
            self._seen = None
            reason = getattr(error, "strerror", None) or str(error)
            raise CertificateError(printable(f"{self._path}: {reason}")) from None
        self._seen = seen
        return True


class Url:
    """A URL, which is requested again after ``interval`` seconds; if that is 0, only by force."""

    remote = True

    def __init__(self, url: str, interval: float, clock: Callable[[], float]) -> None:
        self.content = b""
        self._url = url
        self._interval = interval or math.inf
        self._clock = clock
        self._requested = -math.inf
        self._failed = False

    def refresh(self, *, force: bool = False) -> bool:
        """Request it if that is due; by force, it is so sooner. Answers as for a file."""
        now = self._clock()
        interval = min(self._interval, _MIN_INTERVAL) if force or self._failed else self._interval
        if now - self._requested < interval:
            return False
        self._requested, self._failed = now, True
        try:
            with configure_session(requests.Session(), _TIMEOUT) as session:
                response = session.get(self._url)
                response.raise_for_status()
                self.content = response.content
        except Exception as error:  # of requests, and of what it stands on
            shown = strip_credentials(printable(self._url))
            raise CertificateError(f"{shown}: {error_reason(error)}") from None
        self._failed = False
        return True


Source = File | Url


def make_source(
    location: str, interval: float, clock: Callable[[], float] = time.monotonic
) -> Source:
    """Create the source for a path or a URL."""
    return Url(location, interval, clock) if is_url(location) else File(location)


def is_url(location: str) -> bool:
    """Return True if fedmsg takes a location for a URL; anything else is a path."""
    return location.startswith("https://")
