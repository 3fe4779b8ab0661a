"""Verifies that a message was signed by somebody who may send it; retries during outages.

The answers are those of ``fedmsg.crypto.validate`` in fedmsg 1.1.7. Where that raises an error, the
message is rejected here.
"""

import base64
import datetime
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fedmsg.crypto
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from fedbadges.errors import Rejected, SignatureMismatch, Stopped, Unavailable
from fedbadges.retry import Outage, OutageRetry
from fedbadges.signatures.authority import utc_now
from fedbadges.signatures.authority_cache import AuthorityCache, make_source
from fedbadges.signatures.options import Options, read_options
from fedbadges.signatures.signers import CertificateHolders
from fedbadges.signatures.signing import canonical_text
from fedbadges.util.instruments import REFUSED
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: How long these may be; a certificate has a few thousand characters, a signature a few hundred.
_MAX_CERTIFICATE = 100_000
_MAX_SIGNATURE = 10_000


class Verifier:
    """Verifies signatures; while that is not possible, messages wait. Thread-safe.

    ``authorities`` may be None if ``options`` do not allow X.509. fedmsg itself verifies what GnuPG
    signed, with ``config``. ``before_waiting`` is called in a thread that may wait for days.
    """

    def __init__(
        self,
        options: Options,
        authorities: AuthorityCache | None,
        config: Mapping[str, Any],
        clock: Callable[[], datetime.datetime] = utc_now,
        before_waiting: Callable[[], object] = lambda: None,
    ) -> None:
        self._options = options
        self._authorities = authorities
        self._config = config
        self._before_waiting = before_waiting
        self._holders = None if authorities is None else CertificateHolders(authorities, clock)
        self._retry = OutageRetry()
        #: When each thread began to verify a message, by ``time.monotonic``.
        self._begun: dict[int, float] = {}
        self._rejections = Throttle()
        #: How many messages from the bus were verified or refused, about.
        self.verified = 0

    @property
    def outage(self) -> Outage | None:
        """Return why messages wait, if any do."""
        return self._retry.outage

    def start(self) -> None:
        """Start refreshing the CA."""
        if self._authorities is not None:
            self._authorities.start()

    def stop(self) -> None:
        """Stop retrying, and refreshing the CA."""
        self._retry.stop()
        if self._authorities is not None:
            self._authorities.stop()

    def is_stuck(self, seconds: float) -> bool:
        """Return True if the verification of a message takes longer than that already."""
        before = time.monotonic() - seconds
        return any(begun < before for begun in list(self._begun.values()))

    def verify(self, body: Any, topic: Any) -> None:
        """Verify a message sent under a topic; raise Rejected, or Stopped if the daemon stops."""
        thread = threading.get_ident()
        self._begun[thread] = time.monotonic()
        try:
            try:
                self.verify_now(body, topic)
            except Unavailable:
                self._before_waiting()
                self._retry.call(lambda: self.verify_now(body, topic))
        except Rejected as rejected:
            _count(rejected)
            if self._rejections.allows((rejected.reason, rejected.signer)):
                log.warning("Rejected message", msg_id=_id_of(body), reason=str(rejected))
            raise
        except Stopped:
            log.warning("Stopped before a message was verified", msg_id=_id_of(body))
            raise
        finally:
            del self._begun[thread]
            self.verified += 1

    def verify_stored(
        self, body: Mapping[str, Any], credentials: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """Return a stored message as it was signed, or None if it is not valid; raise Stopped."""
        try:
            if not credentials:
                raise Rejected("no signature was stored with it")
            return self._retry.call(lambda: self._verify_forms(stored_forms(body, credentials)))
        except Rejected as rejected:
            _count(rejected)
            if self._rejections.allows(("stored", rejected.reason, rejected.signer)):
                log.warning("Rejected stored message", msg_id=_id_of(body), reason=str(rejected))
            return None

    def verify_now(self, body: Any, topic: Any) -> None:
        """Verify a message without waiting; raise Rejected, or Unavailable without a usable CA."""
        try:
            self._verify(body, topic)
        except (Rejected, Unavailable):
            raise
        except Exception as error:  # a malformed message may raise anything
            raise Rejected(f"its signature cannot be checked: {type(error).__name__}") from None

    def _verify_forms(self, forms: Iterator[Mapping[str, Any]]) -> Mapping[str, Any]:
        mismatch: SignatureMismatch | None = None
        for form in forms:
            try:
                self.verify_now(form, form["topic"])
                return form
            except SignatureMismatch as error:
                mismatch = error
        assert mismatch is not None
        raise mismatch

    def _verify(self, body: Any, topic: Any) -> None:
        if self._options.match_topic and topic != body["topic"]:
            raise Rejected("it was sent under another topic than its own")
        method = _method(body)
        if method not in self._options.methods:
            raise Rejected(f"signatures by {method} are not allowed")
        if method == "gpg":
            if not fedmsg.crypto.validate(dict(body), **self._config):
                raise SignatureMismatch("GnuPG does not verify its signature")
            return
        assert self._holders is not None
        signature = base64.b64decode(_text(body, "signature", _MAX_SIGNATURE))
        signer = self._holders.holder(_text(body, "certificate", _MAX_CERTIFICATE))
        try:
            signer.key.verify(signature, canonical_text(body), padding.PKCS1v15(), hashes.SHA1())
        except InvalidSignature:
            raise SignatureMismatch("its signature does not match its content") from None
        # As ``fedmsg.crypto.utils.validate_policy`` does.
        senders = self._options.policy.get(body["topic"])
        if senders is None and self._options.nitpicky:
            raise Rejected("'routing_policy' does not have its topic", signer.name)
        if senders is not None and signer.name not in senders:
            raise Rejected("'routing_policy' does not let its signer send its topic", signer.name)


def make_verifier(
    config: Mapping[str, Any],
    clock: Callable[[], datetime.datetime] = utc_now,
    before_waiting: Callable[[], object] = lambda: None,
) -> Verifier | None:
    """Create the configured verifier, if any; raise Unavailable if the CA cannot be read."""
    options = read_options(config)
    if options is None:
        return None
    authorities = None
    if "x509" in options.methods:
        sources = [make_source(options.ca, options.ca_interval)]
        if options.crl:
            sources.append(make_source(options.crl, options.crl_interval))
        authorities = AuthorityCache(sources, clock)
    return Verifier(options, authorities, config, clock, before_waiting)


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


def _method(body: Mapping[str, Any]) -> str:
    """Return how a message is signed; until fedmsg 0.7.2, messages did not say so."""
    if "crypto" in body:
        if body["crypto"] in ("x509", "gpg"):
            return str(body["crypto"])
        raise Rejected("its kind of signature is unknown")
    if "certificate" in body:
        return "x509"
    if "signature" in body:
        return "gpg"
    raise Rejected("it is not signed")


def _text(body: Mapping[str, Any], field: str, limit: int) -> str:
    value = body.get(field)
    if not isinstance(value, (str, bytes)):
        raise Rejected(f"it has no {field}")
    if len(value) > limit:
        raise Rejected(f"its {field} is too long")
    return value if isinstance(value, str) else value.decode("utf-8")


def _count(rejected: Rejected) -> None:
    """Count a message by why it was rejected, without what differs from error to error."""
    REFUSED.labels(rejected.reason.partition(":")[0]).inc()


def _id_of(body: Any) -> Any:
    return body.get("msg_id") if isinstance(body, Mapping) else None
