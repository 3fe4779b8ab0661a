"""The consumer that runs in fedmsg's hub: it verifies messages and hands them to the daemon."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from fedmsg.consumers import FedmsgConsumer
from moksha.common.lib.converters import asbool
from moksha.hub.reactor import reactor
from twisted.internet.task import LoopingCall

from fedbadges.buses.fedmsg.frames import guard, has_too_many_values, ignore
from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.buses.fedmsg.signals import (
    install_signal_handlers,
    let_producers_wake,
    stop_hub,
)
from fedbadges.buses.fedmsg.sized_queue import (
    SIZE,
    SizedQueue,
    json_size,
    size_of,
    size_of_parsed,
)
from fedbadges.buses.loading import BEAT, do_not_exit_on_sigterm, exit_at_once
from fedbadges.config.settings import ENABLED, STOMP, Settings
from fedbadges.errors import CannotStart, NotHandled, Rejected, SettingsError, Stopped, Unavailable
from fedbadges.service.daemon import Daemon
from fedbadges.service.startup import read_start_settings
from fedbadges.signatures.verifier import Verifier, make_verifier
from fedbadges.util.json_text import MAX_DEPTH, count_brackets, is_too_deep
from fedbadges.util.logs import get_logger

if TYPE_CHECKING:
    from fedbadges.buses.fedmsg.stomp import Broker

log = get_logger(__name__)

#: Where moksha logs several lines for each message.
_hub_log = logging.getLogger("moksha.hub")

#: Seconds after which a stop does not wait any longer for a server that does not answer.
_STOP_TIMEOUT = 8.0

#: The key of a message, as the hub has it, that the broker must deliver again.
_REFUSED = "refused"


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
        self._broker: Broker | None = None
        self._failed = False
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
            if _is_acknowledged(hub.config):
                # Other consumers would empty the queue: what they acknowledge is gone.
                exit_at_once(os.EX_CONFIG if settings is None else 1)
            do_not_exit_on_sigterm()
            return
        guard(hub)
        let_producers_wake()
        self._daemon = daemon
        if self._verifier is not None:
            self._verifier.start()
        # The hub's worker threads end during the shutdown, so after it nothing more is handed over.
        reactor.addSystemEventTrigger("after", "shutdown", self._stop_daemon, daemon)
        if self._broker is not None:
            daemon.started.add_done_callback(self._check_start)
        # Again when the reactor has put its own handlers in place.
        reactor.callWhenRunning(install_signal_handlers, partial(self._end, daemon))
        daemon.beat()  # from now on it must come to running the reactor
        reactor.callWhenRunning(partial(LoopingCall(daemon.beat).start, BEAT))

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
        """Handle one message; called by the hub's worker threads."""
        if self._daemon is None:
            return
        if self.blocking_mode:
            message[_REFUSED] = not self._handle_acknowledged(self._daemon, message.get("body"))
            if self._broker is None:
                # The main loop hands over all that has come before it does anything else.
                self._daemon.beat()
        else:
            self._daemon.handle(message.get("body"), size=size_of(message))

    def debug(self, message: str) -> None:
        """Log something about one message, without making up the line where nobody wants it."""
        if _hub_log.isEnabledFor(logging.DEBUG):
            super().debug(message)

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
            handled = super()._do_work(message) and not message.get(_REFUSED)
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
        if has_too_many_values(message.body, message.topic):
            return None
        brackets = count_brackets(message.body)
        if is_too_deep(message.body, brackets):
            ignore(f"it is nested more than {MAX_DEPTH} deep", topic=message.topic)
            return None
        self._size = json_size(message.body, brackets)
        return super()._consume_json(message)

    def _consume(self, message: Any) -> Any:
        size, self._size = self._size, None
        if size is not None and not isinstance(message["body"], dict):
            ignore("it is no object in JSON", topic=message["topic"])
            return None
        if self._broker is not None:
            # Other consumers are given the same one.
            message = {**message, "topic": _topic_of(message)}
        if not self.blocking_mode:
            waiting = self.incoming
            if self._daemon is not None and self._daemon.must_shed(waiting.qsize(), waiting.size):
                return None
            if isinstance(message, dict):
                message[SIZE] = size or size_of_parsed(message)
        # Past fedmsg, which would validate here as well, in the reactor's thread.
        return super(FedmsgConsumer, self)._consume(message)

    def _flush(self) -> None:
        if self._daemon is not None:
            self._daemon.flush()

    def _handle_acknowledged(self, daemon: Daemon, body: Any) -> bool:
        """Handle one message now; return False if the bus must deliver it again."""
        try:
            if self._broker is not None:
                # It would deliver it again at once.
                daemon.started.result()
            daemon.handle_acknowledged(body)
        except (Stopped, CannotStart, NotHandled):
            return False
        return True

    def _check_start(self, started: Future[None]) -> None:
        if isinstance(started.exception(), CannotStart):
            self._fail()

    def _refused(self, reason: str) -> None:
        """End the process, as the broker refuses it; a service manager may start it again."""
        log.critical("The broker refuses the daemon", reason=reason)
        self._fail()

    def _fail(self) -> None:
        """End the process with an error, in time."""
        self._failed = True
        if self._daemon is None:
            reactor.addSystemEventTrigger("after", "shutdown", exit_at_once, 1)
        else:
            threading.Thread(
                target=self._end, args=(self._daemon,), name="fedbadges-stop", daemon=True
            ).start()
        reactor.callFromThread(stop_hub)

    def _stop_daemon(self, daemon: Daemon) -> None:
        daemon.stop()
        if self._failed:
            exit_at_once(1)

    def _drain(self) -> None:
        if self._broker is not None:
            self._broker.stopping.set()
        if self._verifier is not None:
            self._verifier.stop()
        if self._daemon is not None:
            self._daemon.drain()

    def _end(self, daemon: Daemon) -> None:
        """Stop in time, even if a server hangs: no message is lost by it. Called after a signal."""
        loading = not reactor.running
        self._drain()
        daemon.drain()
        if loading:
            # The reactor, which ends the hub, may wait for the consumers of others.
            threading.Thread(target=daemon.stop, name="fedbadges-stop", daemon=True).start()
        if not daemon.wait_until_stopped(_STOP_TIMEOUT) or loading:
            exit_at_once(1 if self._failed else os.EX_OK)

    def _start_daemon(self, hub: Any, settings: Settings) -> Daemon | None:
        """Start the daemon, and join the hub; return None, after logging why, if it cannot."""
        restore_signal_handlers = None
        try:
            self._verifier = make_verifier(hub.config, before_waiting=self._flush)
            self._broker = self._connect(hub, settings)
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

    def _connect(self, hub: Any, settings: Settings) -> Broker | None:
        """Return the broker to which the hub speaks STOMP, if there is one."""
        if not any(map(hub.config.get, STOMP)):
            return None
        # Only now: it needs parts of moksha that may not be usable.
        from fedbadges.buses.fedmsg.stomp import Broker, find_extension

        extension = find_extension(hub)
        if extension is None:
            return None
        return Broker(
            extension,
            settings.stomp_destination,
            prefetch=_prefetch(hub.config, settings),
            requeue=settings.state_directory is not None,
            fail=self._refused,
        )

    def _make_daemon(self, settings: Settings) -> Daemon:
        config = settings.fedmsg
        blocking = _is_blocking(config)
        return Daemon(
            settings,
            self._make_publisher(config),
            self._verifier,
            backlog=lambda: 0 if blocking else int(self.incoming.qsize()),
            workers=1 if blocking and self._broker is None else settings.workers,
            redelivered=_is_acknowledged(config),
        )

    def _make_publisher(self, config: Mapping[str, Any]) -> Publisher:
        if config.get("zmq_enabled", True):
            return Publisher(config)
        if self._broker is None:
            # Only ZeroMQ publishes from any thread.
            return Publisher(config, reactor.callFromThread)
        from fedbadges.buses.fedmsg.stomp import StompPublisher

        return StompPublisher(config, self._broker)


def _prefetch(config: Mapping[str, Any], settings: Settings) -> int | None:
    """Return how many messages may be handled at a time before they are acknowledged.

    None if none need be handled for that.
    """
    if not _is_blocking(config):
        return None
    # Otherwise the acknowledgement of one is that of all before it.
    return settings.workers if config.get("stomp_ack_mode") == "client-individual" else 1


def _is_blocking(config: Mapping[str, Any]) -> bool:
    return bool(asbool(config.get("moksha.blocking_mode", False)))


def _topic_of(message: Mapping[str, Any]) -> Any:
    """Return the topic of what came by STOMP, where it is the end of a destination."""
    topic = message.get("topic")
    if not isinstance(topic, str) or not topic.startswith("/"):
        return topic
    return topic.rpartition("/")[2]


def _is_acknowledged(config: Mapping[str, Any]) -> bool:
    """Return True if a broker keeps messages in a queue until they are acknowledged."""
    if config.get("zmq_enabled", True) or not _is_blocking(config):
        return False
    return bool(config.get("stomp_queue")) and config.get("stomp_ack_mode", "auto") != "auto"


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
