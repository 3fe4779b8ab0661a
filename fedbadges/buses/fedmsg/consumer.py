"""The consumer that runs in fedmsg's hub: it verifies messages and hands them to the daemon."""

import json
import logging
import os
from concurrent.futures import Future
from typing import Any

from fedmsg.consumers import FedmsgConsumer
from moksha.common.lib.converters import asbool
from moksha.hub.reactor import reactor

from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.buses.fedmsg.queue import SIZE, SizedQueue, size_of
from fedbadges.buses.fedmsg.signals import install_signal_handlers
from fedbadges.config.settings import ENABLED, Settings
from fedbadges.errors import CannotStart, Rejected, SettingsError, Stopped, Unavailable
from fedbadges.service.daemon import Daemon
from fedbadges.service.startup import read_start_settings
from fedbadges.signatures.verifier import Verifier, make_verifier
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds after which a stop does not wait any longer for a server that does not answer.
_STOP_TIMEOUT = 8.0


class _Verified(dict[str, Any]):
    """A message as the hub has it, whose signature was verified."""


class BadgesConsumer(FedmsgConsumer):
    """Hands every message with a valid signature to the daemon."""

    topic = "*"
    config_key = ENABLED

    #: Whether fedmsg verifies signatures. This class does, as fedmsg's own code no longer works.
    validate_signatures = False

    #: Set by the hub's base class once it has joined the hub.
    _initialized = False

    def __init__(self, hub: Any) -> None:
        self._daemon: Daemon | None = None
        self._verifier: Verifier | None = None
        self._incoming = SizedQueue()
        # Of the message that the reactor's thread is at.
        self._size = 0
        if not hub.config.get(self.config_key, False):
            super().__init__(hub)
            return
        _share_log_handlers()
        # Errors are logged here, in one line each: moksha would print a traceback, and go on.
        settings = _read_settings(hub.config)
        if settings is None:
            return
        try:
            self._verifier = make_verifier(hub.config, before_waiting=self._flush)
            daemon = self._make_daemon(settings)
            daemon.start()
        except Unavailable as error:
            log.critical("Cannot start", error=str(error))
            return
        except CannotStart:  # logged
            return
        if not self._join(hub):
            daemon.stop()
            return
        self._daemon = daemon
        if self._verifier is not None:
            self._verifier.start()
        # The hub's worker threads end during the shutdown, so after it nothing more is handed over.
        reactor.addSystemEventTrigger("after", "shutdown", daemon.stop)
        # Now, and again when the reactor has put its own handlers in place.
        install_signal_handlers(self._end)
        reactor.callWhenRunning(install_signal_handlers, self._end)

    @property
    def incoming(self) -> SizedQueue:
        """Return the queue of messages that wait for a worker."""
        return self._incoming

    @incoming.setter
    def incoming(self, _: object) -> None:
        """Keep the queue that knows its size; the hub's base class would set another."""

    @property
    def started(self) -> Future[None] | None:
        """Return what becomes done when awards are given; None if that will never be."""
        return None if self._daemon is None else self._daemon.started

    def validate(self, message: Any) -> None:
        """Verify the signature of a message.

        Raises:
            Rejected: It is not valid.
            Stopped: The daemon stopped before it could be verified.
        """
        super().validate(message)
        if self._verifier is not None and not isinstance(message, _Verified):
            self._verifier.verify(message["body"], message.get("topic"))

    def consume(self, message: dict[str, Any]) -> None:
        """Handle one message; called by the hub's worker threads.

        In blocking mode, raises NotHandled if the bus must deliver the message again.
        """
        if self._daemon is None:
            return
        if self.blocking_mode:
            self._daemon.handle_acknowledged(message.get("body"))
        else:
            self._daemon.handle(message.get("body"), size=size_of(message))

    def _do_work(self, message: Any) -> Any:
        """Handle one message, and the current batch if it was the last; called by the hub."""
        handled = self._verify_and_handle(message)
        # Also after an invalid message, of which the daemon did not hear.
        if self.incoming.empty():
            self._flush()
        return handled

    def __json__(self) -> dict[str, Any]:
        """Return the status; called by the hub's monitoring, in a thread of its own."""
        status: dict[str, Any] = super().__json__()
        if self._daemon is None:
            return status | {"fedbadges": None}
        outage = None if self._verifier is None else self._verifier.outage
        signatures = {
            "checked": self._verifier is not None,
            "trouble": None if outage is None else outage.reason,
        }
        return status | {"fedbadges": {**self._daemon.report(), "signatures": signatures}}

    def stop(self) -> None:
        """Accept no more messages; called by the hub when it stops."""
        try:
            super().stop()
        finally:  # even if another part of the hub fails
            self._drain()

    def _consume_json(self, message: Any) -> Any:
        self._size = len(message.body)
        return super()._consume_json(message)

    def _consume(self, message: Any) -> Any:
        size, self._size = self._size, 0
        if self._must_shed():
            return None
        if not self.blocking_mode and isinstance(message, dict):
            message[SIZE] = size or _json_length(message)
        if self._verifier is None:
            return super()._consume(message)
        # Past fedmsg, which would verify in the reactor's thread.
        return super(FedmsgConsumer, self)._consume(message)

    def _must_shed(self) -> bool:
        if self._daemon is None or self.blocking_mode:
            return False
        return self._daemon.must_shed(self.incoming.qsize(), self.incoming.size)

    def _verify_and_handle(self, message: Any) -> Any:
        """Return True if the bus need not deliver the message again."""
        if self._verifier is None:
            return super()._do_work(message)
        try:
            self.validate(message)
        except (Rejected, Stopped) as outcome:
            self.headcount_out += 1
            return isinstance(outcome, Rejected)
        return super()._do_work(_Verified(message))

    def _flush(self) -> None:
        if self._daemon is not None:
            self._daemon.flush()

    def _drain(self) -> None:
        if self._verifier is not None:
            self._verifier.stop()
        if self._daemon is not None:
            self._daemon.drain()

    def _end(self) -> None:
        """Stop in time, even if a server hangs: no message is lost by it. Called after a signal."""
        self._drain()
        if self._daemon is None:
            return
        if not self._daemon.wait_until_stopped(_STOP_TIMEOUT, self._verification_hangs):
            logging.shutdown()
            os._exit(os.EX_OK)

    def _verification_hangs(self, seconds: float) -> bool:
        return self._verifier is not None and self._verifier.is_stuck(seconds)

    def _join(self, hub: Any) -> bool:
        try:
            super().__init__(hub)
        except Exception as error:  # whatever moksha and fedmsg make of their configuration
            log.critical("Cannot join the hub", error=error)
            return False
        return True

    def _make_daemon(self, settings: Settings) -> Daemon:
        config = settings.fedmsg
        blocking = asbool(config.get("moksha.blocking_mode", False))
        # Only ZeroMQ publishes from any thread.
        run = _run_here if config.get("zmq_enabled", True) else reactor.callFromThread
        return Daemon(
            settings,
            Publisher(config, run),
            self._verifier,
            backlog=lambda: 0 if blocking else int(self.incoming.qsize()),
            workers=1 if blocking else settings.workers,
        )


def _json_length(message: Any) -> int:
    """Return how long the JSON of a message is; some brokers' clients have parsed it already."""
    try:
        return len(json.dumps(message.get("body"), default=repr))
    except (ValueError, RecursionError):
        return 0


def _read_settings(config: dict[str, Any]) -> Settings | None:
    try:
        settings, warnings = read_start_settings(config)
    except SettingsError as error:
        for line in error.lines:
            log.critical("Invalid configuration", error=line)
        return None
    for line in warnings:
        log.warning("Questionable configuration", warning=line)
    return settings


def _share_log_handlers() -> None:
    """Log to where fedmsg logs, if logging is configured for fedmsg alone.

    fedmsg's own default, and the configurations that were made from it, name the loggers
    ``fedmsg`` and ``moksha`` only.
    """
    ours, theirs = logging.getLogger("fedbadges"), logging.getLogger("fedmsg")
    if ours.hasHandlers() or not theirs.handlers:
        return
    ours.handlers = list(theirs.handlers)
    ours.setLevel(theirs.level)


def _run_here(function: Any) -> None:
    function()
