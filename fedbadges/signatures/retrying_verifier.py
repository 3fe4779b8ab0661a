"""Verifies messages as they arrive, retries while the CA is unavailable, and logs rejections."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fedbadges.errors import Rejected, SignatureMismatch, Stopped, Unavailable
from fedbadges.retry import Outage, OutageRetry
from fedbadges.signatures.options import read_options
from fedbadges.signatures.verifier import Verifier, make_verifier
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)


class RetryingVerifier:
    """Verifies messages; while that is not possible, they wait.

    ``before_waiting`` is called in the thread that is about to wait, which may be for days.
    """

    def __init__(
        self, verifier: Verifier, before_waiting: Callable[[], object] = lambda: None
    ) -> None:
        self._verifier = verifier
        self._before_waiting = before_waiting
        self._retry = OutageRetry()
        #: When each thread began to verify a message, by ``time.monotonic``.
        self._begun: dict[int, float] = {}
        self._rejections = Throttle()

    @property
    def outage(self) -> Outage | None:
        """Why messages wait, if any do."""
        return self._retry.outage

    def start(self) -> None:
        """Start to refresh the CA."""
        self._verifier.start()

    def stop(self) -> None:
        """Stop to retry, and to refresh the CA."""
        self._retry.stop()
        self._verifier.stop()

    def is_stuck(self, seconds: float) -> bool:
        """Return True if the verification of a message takes longer than that already."""
        before = time.monotonic() - seconds
        return any(begun < before for begun in list(self._begun.values()))

    def verify(self, body: Any, topic: Any) -> None:
        """Verify a message that was sent under a topic.

        Raises Rejected if it is not valid, and Stopped if the daemon stops first.
        """
        thread = threading.get_ident()
        self._begun[thread] = time.monotonic()
        try:
            try:
                self._verifier.verify(body, topic)
            except Unavailable:
                self._before_waiting()
                self._retry.call(lambda: self._verifier.verify(body, topic))
        except Rejected as rejected:
            if self._rejections.allows((rejected.reason, rejected.signer)):
                log.warning("Rejected message", msg_id=_id_of(body), reason=str(rejected))
            raise
        except Stopped:
            log.warning("Stopped before a message was verified", msg_id=_id_of(body))
            raise
        finally:
            del self._begun[thread]

    def verify_stored(
        self, body: Mapping[str, Any], credentials: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Return a stored message in the form in which it was signed; None if it is not valid.

        ``credentials`` is what was stored of its signature. Raises Stopped.
        """
        try:
            if not credentials:
                raise Rejected("no signature was stored with it")
            return self._retry.call(lambda: self._verify_forms(body, credentials))
        except Rejected as rejected:
            if self._rejections.allows(("stored", rejected.reason, rejected.signer)):
                log.warning("Rejected stored message", msg_id=_id_of(body), reason=str(rejected))
            return None

    def _verify_forms(
        self, body: Mapping[str, Any], credentials: Mapping[str, str]
    ) -> Mapping[str, Any]:
        mismatch: SignatureMismatch | None = None
        for form in stored_forms(body, credentials):
            try:
                self._verifier.verify(form, form["topic"])
            except SignatureMismatch as error:
                mismatch = error
            else:
                return form
        assert mismatch is not None
        raise mismatch


def stored_forms(
    body: Mapping[str, Any], credentials: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the forms in which a stored message may have been sent, the likeliest first.

    datanommer keeps all that fedmsg signs, but not how it was written: it has the timestamp as a
    date, adds headers to some messages, and a plugin may have named the user.
    """
    seconds = body["timestamp"]
    timestamps = [int(seconds), seconds] if seconds == int(seconds) else [seconds]
    # For each of these fields: which one is left out, or None.
    username = (None, "username") if "username" in body else (None,)
    headers = ("headers", None) if "headers" in body else (None,)
    for timestamp, *left_out in itertools.product(timestamps, username, headers):
        kept = {key: value for key, value in body.items() if key not in left_out}
        yield {**kept, "timestamp": timestamp, **credentials}


def make_retrying_verifier(
    config: Mapping[str, Any], before_waiting: Callable[[], object] = lambda: None
) -> RetryingVerifier | None:
    """Create the verifier that fedmsg's configuration asks for; None if it asks for none.

    Raises Unavailable if the CA cannot be read.
    """
    options = read_options(config)
    if options is None:
        return None
    return RetryingVerifier(make_verifier(options, config), before_waiting)


def _id_of(body: Any) -> Any:
    return body.get("msg_id") if isinstance(body, Mapping) else None
