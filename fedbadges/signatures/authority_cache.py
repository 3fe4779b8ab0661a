"""Keeps the authority as it is known at present: what changed is read again."""

from __future__ import annotations

import datetime
import logging
import threading
from collections.abc import Callable

from fedbadges.errors import Unavailable
from fedbadges.signatures.authority import Authority, now, read_authority
from fedbadges.signatures.sources import Source, Unreadable

log = logging.getLogger(__name__)

#: Seconds between two looks at whether a server is to be asked again.
_PAUSE = 5.0


class AuthorityCache:
    """Holds the authority whose certificate and revocation list come from two sources.

    What changed and cannot be used is logged, and what was there stays in force. Making one reads
    both, and raises Unavailable where that gives nothing to judge by.
    """

    def __init__(
        self,
        ca: Source,
        crl: Source | None,
        clock: Callable[[], datetime.datetime] = now,
    ) -> None:
        self._ca = ca
        self._crl = crl
        self._clock = clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._background = ca.remote or (crl is not None and crl.remote)
        self._failing = False
        self._stale = False
        self._texts: tuple[bytes, bytes | None] = (b"", None)
        self._authority = self._first()

    def start(self) -> None:
        """Ask servers again from time to time, in a thread of its own; files need none."""
        if self._background:
            threading.Thread(target=self._work, name="fedbadges-ca", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()

    def authority(self) -> Authority:
        """Give the authority, with what changed in files; no server is asked for it.

        Raises Unavailable while it is out of date; a server is asked before.
        """
        if not self._background:
            self.renew()
        problem = self._authority.problem(self._clock())
        if problem is not None:
            self.renew(insist=True)
            problem = self._authority.problem(self._clock())
        self._report(problem)
        if problem is not None:
            raise Unavailable(f"signatures cannot be checked: {problem}")
        return self._authority

    def renew(self, *, insist: bool = False) -> None:
        """Read again what may have changed; with ``insist`` also what usually would not yet be."""
        with self._lock:
            try:
                found = self._read(insist=insist)
                if found is None:
                    return
                _see_in_date(found, self._clock())
            except (Unreadable, ValueError) as error:
                if not self._failing:
                    log.error("What was known of the CA before stays in force: %s", error)
                self._failing = True
                return
            self._failing = False
            self._authority = found
            log.info("Read the CA's certificate and revocation list again")

    def _first(self) -> Authority:
        try:
            found = self._read(insist=True)
            assert found is not None
            _see_in_date(found, self._clock())
        except (Unreadable, ValueError) as error:
            raise Unavailable(f"signatures cannot be checked: {error}") from None
        return found

    def _read(self, *, insist: bool) -> Authority | None:
        """Give the authority as its sources now have it; None where neither says anything new."""
        ca, crl = self._texts
        # What one source said is kept even if the other fails: it does not say it twice.
        new_ca = self._ca.read(insist=insist)
        self._texts = (ca if new_ca is None else new_ca, crl)
        new_crl = None if self._crl is None else self._crl.read(insist=insist)
        self._texts = (self._texts[0], crl if new_crl is None else new_crl)
        if new_ca is None and new_crl is None:
            return None
        return read_authority(*self._texts)

    def _report(self, problem: str | None) -> None:
        if problem is not None and not self._stale:
            log.error(
                "Signatures cannot be checked: %s. Nothing is awarded, and messages wait, until "
                "there is a newer one",
                problem,
            )
        if problem is None and self._stale:
            log.info("Signatures can be checked again")
        self._stale = problem is not None

    def _work(self) -> None:
        while not self._stopping.wait(_PAUSE):
            self.renew()


def _see_in_date(authority: Authority, moment: datetime.datetime) -> None:
    problem = authority.problem(moment)
    if problem is not None:
        raise ValueError(problem)
