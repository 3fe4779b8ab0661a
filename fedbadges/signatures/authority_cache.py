"""Caches the CA's certificate and revocation list, from files or URLs, and refreshes them."""

import datetime
import math
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fedbadges.errors import Unavailable
from fedbadges.signatures.authority import (
    Authority,
    CertificateError,
    check_order,
    read_ca,
    read_crl,
    utc_now,
)
from fedbadges.signatures.files import MAX_BYTES, TooLarge, read_bytes
from fedbadges.util.http import Session, error_reason, shown
from fedbadges.util.logs import get_logger
from fedbadges.util.text import printable
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: Seconds between two checks whether a URL is due.
_INTERVAL = 5.0
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
        except (OSError, ValueError) as error:
            self._seen = None
            reason = getattr(error, "strerror", None) or str(error)
            raise CertificateError(printable(f"{self._path}: {reason}")) from None
        self._seen = None
        try:
            self.content = read_bytes(self._path)
        except TooLarge:  # it is not read again for each message
            self._seen = seen
            raise
        self._seen = seen
        return True


class Url:
    """A URL, which is requested again after ``interval`` seconds; if that is 0, only if forced."""

    remote = True

    def __init__(self, url: str, interval: float, clock: Callable[[], float]) -> None:
        self.content = b""
        self._url = url
        self._interval = interval or math.inf
        self._clock = clock
        self._requested = -math.inf
        self._failed = False

    def refresh(self, *, force: bool = False) -> bool:
        """Request the URL if that is due, or sooner if forced; return and raise as File does."""
        now = self._clock()
        interval = min(self._interval, _MIN_INTERVAL) if force or self._failed else self._interval
        if now - self._requested < interval:
            return False
        self._requested, self._failed = now, True
        try:
            with Session(_TIMEOUT, MAX_BYTES) as session:
                response = session.get(self._url)
                response.raise_for_status()
                self.content = response.content
        except Exception as error:  # of requests and the libraries below it
            raise CertificateError(f"{shown(self._url)}: {error_reason(error)}") from None
        self._failed = False
        return True


def make_source(
    location: str, interval: float, clock: Callable[[], float] = time.monotonic
) -> File | Url:
    """Create the source for a path or a URL."""
    return Url(location, interval, clock) if is_url(location) else File(location)


def is_url(location: str) -> bool:
    """Return True if fedmsg treats a location as a URL; anything else is a path."""
    return location.startswith("https://")


class AuthorityCache:
    """The current authority, from the sources of its certificate and of any revocation list."""

    def __init__(
        self, sources: Sequence[File | Url], clock: Callable[[], datetime.datetime] = utc_now
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._remote = any(source.remote for source in self._sources)
        #: Why the last refresh failed, if it did.
        self._failure: str | None = None
        self._failures = Throttle()
        self._out_of_date = False
        try:
            for source in self._sources:
                source.refresh(force=True)
            self._authority = self._read()
        except CertificateError as error:
            raise Unavailable(f"signatures cannot be checked: {error}") from None

    def start(self) -> None:
        """Start a thread that refreshes URLs periodically; files need none."""
        if self._remote:
            threading.Thread(target=self._run, name="fedbadges-ca", daemon=True).start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()

    def authority(self) -> Authority:
        """Return the authority, read again if it changed; raise Unavailable if it is outdated."""
        if not self._remote:
            self.refresh()
        if self._authority.problem(self._clock()) is not None:
            self.refresh(force=True)
        authority = self._authority
        problem = authority.problem(self._clock())
        was_out_of_date, self._out_of_date = self._out_of_date, problem is not None
        if problem is None:
            if was_out_of_date:
                log.info("Can verify signatures again")
            return authority
        if not was_out_of_date:
            log.error("Cannot verify signatures, messages wait for a newer CA", error=problem)
        raise Unavailable(f"signatures cannot be checked: {problem}")

    def refresh(self, *, force: bool = False) -> None:
        """Refresh the sources; with ``force``, also those that are not due yet."""
        with self._lock:
            try:
                # Every source, even if the first one has changed.
                changed = [source.refresh(force=force) for source in self._sources]
                if not any(changed) and not self._may_be_usable_now():
                    return
                authority = self._read()
                check_order(authority, self._authority)
            except CertificateError as error:
                reason = str(error)
                if reason != self._failure and self._failures.allows(reason):
                    log.error("Could not refresh the CA, keeping the previous one", error=reason)
                self._failure = reason
                return
            self._authority, self._failure = authority, None
            log.info("Refreshed the CA")

    def _may_be_usable_now(self) -> bool:
        """Return True if what was refused earlier, as not valid yet, may be needed by now."""
        outdated = self._authority.problem(self._clock()) is not None
        return outdated and self._failure is not None

    def _read(self) -> Authority:
        now = self._clock()
        ca, *crls = (source.content for source in self._sources)
        certificate = read_ca(ca, now)
        return Authority(certificate, read_crl(crls[0], certificate, now) if crls else None)

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            self.refresh()
