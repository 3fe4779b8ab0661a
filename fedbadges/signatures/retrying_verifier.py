"""Where messages come in: who is turned away is said, but not each time."""

from __future__ import annotations

import logging
import reprlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fedbadges.errors import Rejected, SignatureMismatch, Stopped, Unavailable
from fedbadges.retry import Outage, OutageRetry
from fedbadges.signatures.options import read_options
from fedbadges.signatures.stored_forms import forms
from fedbadges.signatures.verifier import Verifier, make_verifier
from fedbadges.util.throttle import PERIOD, Throttle

log = logging.getLogger(__name__)

_SHORT = reprlib.Repr()
_SHORT.maxstring = 100


class RetryingVerifier:
    """Lets messages pass that ``checks`` find well; they wait while nothing can be checked.

    ``before_waiting`` is called in the thread that is about to wait, which may be for days.
    """

    def __init__(
        self, checks: Verifier, before_waiting: Callable[[], object] = lambda: None
    ) -> None:
        self._checks = checks
        self._before_waiting = before_waiting
        self._patience = OutageRetry()
        # Since when, in seconds of ``time.monotonic``, the threads that do so check a message.
        self._checking: dict[int, float] = {}
        self._rejections = Throttle()
        self._stored_rejections = Throttle()

    @property
    def outage(self) -> Outage | None:
        """Why messages wait here, if any do."""
        return self._patience.outage

    def start(self) -> None:
        """Begin to keep what is known of the CA up to date."""
        self._checks.start()

    def stop(self) -> None:
        """Wait no more for anything."""
        self._patience.stop()
        self._checks.stop()

    def stuck(self, seconds: float) -> bool:
        """Tell whether a message is being checked, or waits for that, for longer than that."""
        before = time.monotonic() - seconds
        return any(begun < before for begun in list(self._checking.values()))

    def check(self, body: Any, envelope: Any) -> None:
        """Return if a message is to be heeded; ``envelope`` is the topic that it was sent under.

        Raises Rejected if not, and Stopped if the daemon stops before that can be known.
        """
        try:
            with self._timed():
                self._insist(body, envelope)
        except Rejected as rejected:
            if self._rejections.allows((rejected.reason, rejected.signer)):
                log.warning(
                    "Passed over %s: %s. The same of other messages is not said for %g minutes",
                    _id_of(body),
                    rejected,
                    PERIOD / 60,
                )
            raise
        except Stopped:
            log.warning("Stopping before the signature of %s could be checked", _id_of(body))
            raise

    def find_signed(
        self, body: Mapping[str, Any], proof: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Give a message that was stored in the form in which it was signed; None if in no form.

        ``proof`` is what was stored of its signature. Raises Stopped.
        """
        try:
            if not proof:
                raise Rejected("no signature was stored with it")
            return self._patience.call(lambda: self._choose(body, proof))
        except Rejected as rejected:
            if self._stored_rejections.allows((rejected.reason, rejected.signer)):
                log.warning(
                    "Not caught up, as datanommer has it: %s: %s. The same of other messages is "
                    "not said for %g minutes",
                    _id_of(body),
                    rejected,
                    PERIOD / 60,
                )
            return None

    @contextmanager
    def _timed(self) -> Iterator[None]:
        thread = threading.get_ident()
        self._checking[thread] = time.monotonic()
        try:
            yield
        finally:
            del self._checking[thread]

    def _choose(self, body: Mapping[str, Any], proof: Mapping[str, str]) -> Mapping[str, Any]:
        unfitting: SignatureMismatch | None = None
        for form in forms(body, proof):
            try:
                self._checks.check(form, form["topic"])
            except SignatureMismatch as error:
                unfitting = error
            else:
                return form
        assert unfitting is not None
        raise unfitting

    def _insist(self, body: Any, envelope: Any) -> None:
        try:
            self._checks.check(body, envelope)
            return
        except Unavailable:
            self._before_waiting()
        self._patience.call(lambda: self._checks.check(body, envelope))


def make_retrying_verifier(
    config: Mapping[str, Any], before_waiting: Callable[[], object] = lambda: None
) -> RetryingVerifier | None:
    """Make what fedmsg's configuration asks for; None where signatures are not to be checked.

    Raises Unavailable where they cannot be.
    """
    options = read_options(config)
    return (
        None
        if options is None
        else RetryingVerifier(make_verifier(options, config), before_waiting)
    )


def _id_of(body: Any) -> str:
    return _SHORT.repr(body.get("msg_id") if isinstance(body, Mapping) else None)
