"""The consumer that runs in a hub, between moksha and the daemon."""

from __future__ import annotations

import contextlib
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
from fedbadges.signatures.retrying_verifier import RetryingVerifier, make_retrying_verifier
from fedbadges.util.text import short_repr

log = logging.getLogger(__name__)

#: Seconds until a stop does not wait any longer for a server that accepts questions and is silent.
_MOST_SECONDS = 8.0


class _Checked(dict[str, Any]):
    """A message as the hub has it, whose signature was checked; there is nothing else to it."""


class BadgesConsumer(FedmsgConsumer):
    """Hands every message on the bus to the daemon, if it was signed by who may send it."""

    topic = "*"
    config_key = ENABLED

    #: Whether fedmsg checks signatures. That is done here, once, and as the configuration says.
    validate_signatures = False

    #: Set by the hub's base class once it takes part.
    _initialized = False

    def __init__(self, hub: Any) -> None:
        self._daemon: Daemon | None = None
        self._gate: RetryingVerifier | None = None
        # Of the message that the reactor's thread is at.
        self._size = 0
        if not hub.config.get(self.config_key, False):
            super().__init__(hub)
            return
        _lend_handlers()
        # What is wrong is said here, in one line each: moksha would print a traceback, and go on.
        settings = _settings(hub.config)
        if settings is None:
            return
        daemon = self._make_daemon(settings) if self._make_gate(hub.config) else None
        if daemon is None or not self._join(hub):
            return
        self._daemon = daemon
        if self._gate is not None:
            self._gate.start()
        daemon.start()
        # The hub's worker threads end during the shutdown, so after it nothing more is handed over.
        reactor.addSystemEventTrigger("after", "shutdown", daemon.stop)
        # At once, and once more when the reactor has put its own handlers in place.
        install_signal_handlers(self._end)
        reactor.callWhenRunning(install_signal_handlers, self._end)

    @property
    def incoming(self) -> SizedQueue:
        """The messages that wait for a worker."""
        return self._incoming

    @incoming.setter
    def incoming(self, _: object) -> None:
        # The hub's base class would have one that does not know how large it is.
        self._incoming = SizedQueue()

    @property
    def prepared(self) -> Future[None] | None:
        """Becomes done when awards can be given; None if that will never be."""
        return None if self._daemon is None else self._daemon.prepared

    def validate(self, message: Any) -> None:
        """Give a message its form, and return if it is to be heeded.

        Raises Rejected, a RuntimeWarning, if not, and Stopped if the daemon stops before signatures
        can be checked.
        """
        super().validate(message)
        if self._gate is not None and not isinstance(message, _Checked):
            self._gate.verify(message["body"], message.get("topic"))

    def consume(self, message: dict[str, Any]) -> None:
        """Handle one message; called by the hub's worker threads.

        In blocking mode, raises NotHandled where the message is to be handed over again.
        """
        if self._daemon is not None:
            self._daemon.handle(message.get("body"), size=size_of(message), wait=self.blocking_mode)

    def _do_work(self, message: Any) -> Any:
        """Handle one message, and what was put off where it was the last; called by the hub."""
        handled = self._heed(message)
        # Also where the message was invalid, so that nobody was handed it.
        if self.incoming.empty():
            self._work_off()
        return handled

    def __json__(self) -> dict[str, Any]:
        """Say what it is doing; called by the hub's monitoring, in a thread of that."""
        said: dict[str, Any] = super().__json__()
        if self._daemon is None:
            return said | {"fedbadges": None}
        outage = None if self._gate is None else self._gate.outage
        signatures = {
            "checked": self._gate is not None,
            "trouble": None if outage is None else outage.reason,
        }
        return said | {"fedbadges": {**self._daemon.report(), "signatures": signatures}}

    def stop(self) -> None:
        """Take no more messages; called by the hub when it stops."""
        try:
            super().stop()
        finally:  # where others in the hub stumble, too
            self._hurry()

    def _consume_json(self, message: Any) -> Any:
        self._size = len(message.body)
        return super()._consume_json(message)

    def _consume(self, message: Any) -> Any:
        size, self._size = self._size, 0
        if self._overflows():
            return None
        if not self.blocking_mode and isinstance(message, dict):
            message[SIZE] = size or _length(message)
        if self._gate is None:
            return super()._consume(message)
        # Past fedmsg, which would check a first time, in the reactor's thread.
        return super(FedmsgConsumer, self)._consume(message)

    def _overflows(self) -> bool:
        if self._daemon is None or self.blocking_mode:
            return False
        return self._daemon.overflows(self.incoming.qsize(), self.incoming.size)

    def _heed(self, message: Any) -> Any:
        """Handle one message if it is to be heeded; gives whether that is done with."""
        if self._gate is None:
            return super()._do_work(message)
        try:
            self.validate(message)
        except (Rejected, Stopped) as outcome:
            self.headcount_out += 1
            return isinstance(outcome, Rejected)
        return super()._do_work(_Checked(message))

    def _work_off(self) -> None:
        """Have done what was put off until the next message."""
        if self._daemon is not None:
            self._daemon.pause()

    def _hurry(self) -> None:
        if self._gate is not None:
            self._gate.stop()
        if self._daemon is not None:
            self._daemon.hurry()

    def _end(self) -> None:
        """Stop in time, whatever hangs: nothing in hand is lost by it. Called after a signal."""
        self._hurry()
        if self._daemon is not None and not self._daemon.leave(_MOST_SECONDS, self._check_hangs):
            logging.shutdown()
            os._exit(os.EX_OK)

    def _check_hangs(self, seconds: float) -> bool:
        return self._gate is not None and self._gate.is_stuck(seconds)

    def _make_gate(self, config: dict[str, Any]) -> bool:
        """Tell whether signatures can be checked, if they are to be."""
        try:
            self._gate = make_retrying_verifier(config, before_waiting=self._work_off)
        except Unavailable as error:
            log.critical("Cannot start: %s", error)
            return False
        return True

    def _join(self, hub: Any) -> bool:
        try:
            super().__init__(hub)
        except Exception as error:  # whatever moksha and fedmsg make of their configuration
            log.critical("Cannot take part in the hub: %s", short_repr(error))
            return False
        return True

    def _make_daemon(self, settings: Settings) -> Daemon | None:
        config = settings.fedmsg
        blocking = asbool(config.get("moksha.blocking_mode", False))
        try:
            daemon = Daemon(
                settings,
                Publisher(
                    config, _run_here if config.get("zmq_enabled", True) else _run_in_reactor
                ),
                self._gate,
                backlog=lambda: 0 if blocking else int(self.incoming.qsize()),
                workers=1 if blocking else settings.workers,
            )
            # Not with the first message: a mistake is to be seen at once.
            with contextlib.suppress(Unavailable):
                daemon.prepare()
        except CannotStart as error:
            log.critical("Cannot start: %s", error)
            return None
        return daemon


def _length(message: Any) -> int:
    """Tell how large the JSON of a message was that some brokers' clients have read already."""
    try:
        return len(json.dumps(message.get("body"), default=repr))
    except (ValueError, RecursionError):
        return 0


def _settings(config: dict[str, Any]) -> Settings | None:
    try:
        settings, warnings = read_start_settings(config)
    except SettingsError as error:
        for line in error.lines:
            log.critical("%s", line)
        return None
    for warning in warnings:
        log.warning("%s", warning)
    return settings


def _lend_handlers() -> None:
    """Let our log lines go where fedmsg's go, where logging is configured for fedmsg alone.

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


def _run_in_reactor(function: Any) -> None:
    reactor.callFromThread(function)
