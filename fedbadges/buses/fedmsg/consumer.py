"""The consumer that runs in fedmsg's hub: it verifies messages and hands them to the daemon."""

import json
import logging
import queue
import threading
from concurrent.futures import Future
from functools import partial
from typing import Any

from fedmsg.consumers import FedmsgConsumer
from moksha.common.lib.converters import asbool
from moksha.hub.reactor import reactor

from fedbadges.buses.fedmsg.frames import guard, ignore
from fedbadges.buses.fedmsg.loading import do_not_exit_on_sigterm, exit_at_once
from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.buses.fedmsg.signals import install_signal_handlers
from fedbadges.config.settings import ENABLED, Settings
from fedbadges.errors import CannotStart, Rejected, SettingsError, Stopped, Unavailable
from fedbadges.service.daemon import Daemon
from fedbadges.service.startup import read_start_settings
from fedbadges.signatures.verifier import Verifier, make_verifier
from fedbadges.util.json_text import MAX_DEPTH, is_too_deep
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds after which a stop does not wait any longer for a server that does not answer.
_STOP_TIMEOUT = 8.0


#: The key of a message, as the hub has it, with its size: the length of its JSON in characters, and
#: for each object and list what Python needs for an empty one.
SIZE = "size"
_EMPTY = 64

#: How many values the JSON of a message may have, brackets and commas in its texts counted as well:
#: an empty list takes three characters, and Python needs 72 bytes for it, and long for many.
_MAX_VALUES = 250_000


class SizedQueue(queue.Queue[Any]):
    """A queue of messages that knows their size together."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.size = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self.size += _size_of(item)

    def _get(self) -> Any:
        item = super()._get()
        self.size -= _size_of(item)
        return item


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
        # Of the message that the reactor's thread is at, if it came as JSON.
        self._size: int | None = None
        if not hub.config.get(self.config_key, False):
            do_not_exit_on_sigterm()
            super().__init__(hub)
            return
        _share_log_handlers()
        # Errors are logged here, in one line each: moksha would print a traceback, and go on.
        settings = _read_settings(hub.config)
        daemon = None if settings is None else self._start_daemon(hub, settings)
        if daemon is None:
            do_not_exit_on_sigterm()
            return
        guard(hub)
        self._daemon = daemon
        if self._verifier is not None:
            self._verifier.start()
        # The hub's worker threads end during the shutdown, so after it nothing more is handed over.
        reactor.addSystemEventTrigger("after", "shutdown", daemon.stop)
        # Again when the reactor has put its own handlers in place.
        reactor.callWhenRunning(install_signal_handlers, partial(self._end, daemon))

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
        """Verify the signature of a message; raise Rejected, or Stopped before an answer."""
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
            self._daemon.handle(message.get("body"), size=_size_of(message))

    def _do_work(self, message: Any) -> Any:
        """Handle one message, and the current batch if it was the last; called by the hub.

        Returns True if the bus need not deliver the message again.
        """
        try:
            if self._verifier is not None:
                self.validate(message)
                message = _Verified(message)
        except (Rejected, Stopped) as outcome:
            self.headcount_out += 1
            handled = isinstance(outcome, Rejected)
        else:
            handled = super()._do_work(message)
        # Also after an invalid message, of which the daemon did not hear.
        if self.incoming.empty():
            self._flush()
        return handled

    def __json__(self) -> dict[str, Any]:
        """Return the status; called by the hub's monitoring, in a thread of its own."""
        report = None if self._daemon is None else self._daemon.report()
        return {**super().__json__(), "fedbadges": report}

    def stop(self) -> None:
        """Accept no more messages; called by the hub when it stops."""
        try:
            super().stop()
        finally:  # even if another part of the hub fails
            self._drain()

    def _consume_json(self, message: Any) -> Any:
        if _has_too_many_values(message.body):
            ignore(f"it has more than {_MAX_VALUES} values", topic=message.topic)
            return None
        if is_too_deep(message.body):
            ignore(f"it is nested more than {MAX_DEPTH} deep", topic=message.topic)
            return None
        self._size = json_size(message.body)
        return super()._consume_json(message)

    def _consume(self, message: Any) -> Any:
        size, self._size = self._size, None
        if size is not None and not isinstance(message["body"], dict):
            ignore("it is no object in JSON", topic=message["topic"])
            return None
        if not self.blocking_mode:
            waiting = self.incoming
            if self._daemon is not None and self._daemon.must_shed(waiting.qsize(), waiting.size):
                return None
            if isinstance(message, dict):
                message[SIZE] = size or _size_of_parsed(message)
        if self._verifier is None:
            return super()._consume(message)
        # Past fedmsg, which would verify in the reactor's thread.
        return super(FedmsgConsumer, self)._consume(message)

    def _flush(self) -> None:
        if self._daemon is not None:
            self._daemon.flush()

    def _drain(self) -> None:
        if self._verifier is not None:
            self._verifier.stop()
        if self._daemon is not None:
            self._daemon.drain()

    def _end(self, daemon: Daemon) -> None:
        """Stop in time, even if a server hangs: no message is lost by it. Called after a signal."""
        loading = not reactor.running
        if self._verifier is not None:
            self._verifier.stop()
        daemon.drain()
        if loading:
            # The reactor, which ends the hub, may wait for the consumers of others.
            threading.Thread(target=daemon.stop, name="fedbadges-stop", daemon=True).start()
        if not daemon.wait_until_stopped(_STOP_TIMEOUT) or loading:
            exit_at_once()

    def _start_daemon(self, hub: Any, settings: Settings) -> Daemon | None:
        """Start the daemon, and join the hub; return None, after logging why, if it cannot."""
        restore_signal_handlers = None
        try:
            self._verifier = make_verifier(hub.config, before_waiting=self._flush)
            daemon = self._make_daemon(settings)
            restore_signal_handlers = install_signal_handlers(partial(self._end, daemon))
            daemon.start()
            if self._join(hub):
                return daemon
            daemon.stop()
        except Unavailable as error:
            log.critical("Cannot start", error=str(error))
        except CannotStart:  # logged
            pass
        if restore_signal_handlers is not None:
            restore_signal_handlers()
        return None

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
        zeromq = config.get("zmq_enabled", True)
        return Daemon(
            settings,
            Publisher(config) if zeromq else Publisher(config, reactor.callFromThread),
            self._verifier,
            backlog=lambda: 0 if blocking else int(self.incoming.qsize()),
            workers=1 if blocking else settings.workers,
        )


def _size_of(message: Any) -> int:
    return int(message.get(SIZE, 0)) if isinstance(message, dict) else 0


def json_size(text: str) -> int:
    """Return the size of a message from its JSON."""
    return len(text) + _EMPTY * (text.count("{") + text.count("["))


def _has_too_many_values(text: str) -> bool:
    return len(text) > _MAX_VALUES and sum(map(text.count, "[{,")) > _MAX_VALUES


def _size_of_parsed(message: Any) -> int:
    """Return the size of a message that some broker's client has parsed already."""
    try:
        return json_size(json.dumps(message.get("body"), default=repr))
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
