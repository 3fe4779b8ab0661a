"""Caches the CA's certificate and revocation list, and refreshes them when they change."""

import datetime
import threading
from collections.abc import Callable

from fedbadges.errors import Unavailable
from fedbadges.signatures.authority import Authority, CertificateError, read_ca, read_crl, utc_now
from fedbadges.signatures.sources import Source
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds between two checks whether a URL is due.
_INTERVAL = 5.0


class AuthorityCache:
    """The current authority, whose certificate and revocation list come from two sources.

    If they change to something unusable, that is logged, and the previous ones stay in use; if they
    are unusable at first, Unavailable is raised.
    """

    def __init__(
        self, ca: Source, crl: Source | None, clock: Callable[[], datetime.datetime] = utc_now
    ) -> None:
        self._sources = [ca] if crl is None else [ca, crl]
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._remote = any(source.remote for source in self._sources)
        self._failing = False
        self._out_of_date = False
        try:
            for source in self._sources:
                source.refresh(force=True)
            self._authority = self._read()
        except CertificateError as error:
            raise Unavailable(f"signatures cannot be checked: {error}") from None

    def start(self) -> None:
        """Start a thread that requests URLs again from time to time; files need none."""
        if self._remote:
            threading.Thread(target=self._run, name="fedbadges-ca", daemon=True).start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopping.set()

    def authority(self) -> Authority:
        """Return the authority; files are read again if they changed.

        Raises Unavailable while it is out of date, after URLs were requested again.
        """
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
        """Read the sources again; ``force`` those that are not due yet as well."""
        with self._lock:
            try:
                # Every source, even if the first one has changed.
                changed = [source.refresh(force=force) for source in self._sources]
                if not any(changed):
                    return
                self._authority = self._read()
            except CertificateError as error:
                if not self._failing:
                    log.error(
                        "Could not refresh the CA, keeping the previous one", error=str(error)
                    )
                self._failing = True
                return
            self._failing = False
            log.info("Refreshed the CA")

    def _read(self) -> Authority:
        now = self._clock()
        ca, *crls = (source.content for source in self._sources)
        certificate = read_ca(ca, now)
        return Authority(certificate, read_crl(crls[0], certificate, now) if crls else None)

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            self.refresh()
