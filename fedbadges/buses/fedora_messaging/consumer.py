"""The consumer that ``fedora-messaging consume`` runs: it hands messages to the daemon."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click
from fedora_messaging import config
from fedora_messaging.exceptions import Drop, HaltConsumer, Nack
from fedora_messaging.message import Message
from fedora_messaging.twisted.factory import FedoraMessagingFactoryV2
from twisted.internet import defer
from twisted.internet import reactor as _reactor
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import LoopingCall

from fedbadges.buses.fedora_messaging.messages import body_of, packages_of, users_of
from fedbadges.buses.fedora_messaging.monitoring import Monitor
from fedbadges.buses.fedora_messaging.publisher import MAX_RECONNECT_DELAY, Publisher
from fedbadges.buses.loading import BEAT, exit_at_once
from fedbadges.config.settings import Settings, toml_configuration
from fedbadges.config.toml_files import TABLE, default_toml_file
from fedbadges.config.version_2 import TRANSLATION
from fedbadges.errors import CannotStart, NotHandled, SettingsError, Stopped
from fedbadges.service.daemon import Daemon
from fedbadges.service.startup import read_start_settings
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Twisted types it as a module.
reactor: Any = _reactor

#: Seconds after which a stop does not wait any longer for a server that does not answer, and those
#: that fedora-messaging has for closing its connection afterwards.
_STOP_TIMEOUT = 8.0
_CLOSE_TIMEOUT = 1.5

#: Seconds until the broker gets back what could be neither handled nor set aside.
_RETRY = 30.0


class BadgesConsumer:
    """Hands every message to the daemon, and returns when the broker may forget it.

    fedora-messaging calls it in its thread pool, once at a time for each queue. While a database is
    away, the call waits: nothing is acknowledged, and nothing returned to be delivered again at
    once. A stop waits for the call, so the daemon is told first.
    """

    def __init__(self) -> None:
        self._settings = _read_settings()
        FedoraMessagingFactoryV2.maxDelay = MAX_RECONNECT_DELAY
        self._calls = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._failed = self._signalled = False
        self._daemon = Daemon(self._settings, Publisher(), redelivered=True)
        try:
            self._daemon.start()
        except CannotStart:  # logged
            exit_at_once(1)
        self._monitor = Monitor(self._settings.fedmsg, self._daemon.report)
        self._monitor.start()
        # Before that of fedora-messaging, which waits for the calls.
        reactor.addSystemEventTrigger("before", "shutdown", self._before_shutdown)
        reactor.addSystemEventTrigger("after", "shutdown", self._after_shutdown)
        self._daemon.beat()  # from now on it must come to running the reactor
        reactor.callWhenRunning(partial(LoopingCall(self._daemon.beat).start, BEAT))
        # After Twisted has put its own handlers in place.
        reactor.callWhenRunning(self._note_signals)
        self._daemon.started.add_done_callback(self._check_start)

    def __call__(self, message: Message) -> None:
        """Handle a message; raise what tells fedora-messaging not to acknowledge it."""
        with self._calling():
            try:
                self._daemon.started.result()
                self._daemon.handle_acknowledged(
                    body_of(message), users=users_of(message), packages=packages_of(message)
                )
            except Stopped:
                raise Nack from None
            except CannotStart as error:
                raise HaltConsumer(1, reason=str(error), requeue=True) from None
            except NotHandled:
                self._refuse()

    def _refuse(self) -> None:
        """Raise what returns a message to the broker: at a stop, or as it cannot be set aside."""
        if self._stopping.is_set():
            raise Nack
        if self._settings.state_directory is None:
            # The queue may have a dead letter exchange.
            raise Drop
        self._stopping.wait(_RETRY)
        raise Nack

    @contextlib.contextmanager
    def _calling(self) -> Iterator[None]:
        with self._changed:
            self._calls += 1
        try:
            yield
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def _check_start(self, started: Future[None]) -> None:
        """End the process if it is clear by now that nothing will ever be awarded."""
        if isinstance(started.exception(), CannotStart):
            self._failed = True
            reactor.callFromThread(_stop_reactor)

    def _note_signals(self) -> None:
        """Note whether somebody wants the process to stop, or something has failed."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, partial(self._on_signal, signal.getsignal(number)))

    def _on_signal(self, handler: Any, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        handler(number, frame)

    def _before_shutdown(self) -> defer.Deferred[None]:
        """Stop the daemon in another thread, while the reactor still runs; it publishes."""
        ended: defer.Deferred[None] = defer.Deferred()
        self._stopping.set()
        threading.Thread(
            target=self._end, args=(ended,), name="fedbadges-stop", daemon=True
        ).start()
        return ended

    def _after_shutdown(self) -> None:
        """Exit with 0 if that was asked for, also where fedora-messaging was still connecting."""
        if self._signalled and not self._failed:
            exit_at_once()

    def _end(self, ended: defer.Deferred[None]) -> None:
        """Stop in time, even if a server hangs: the broker keeps what is not acknowledged."""
        self._daemon.drain()
        threading.Thread(target=self._stop_daemon, name="fedbadges-stop", daemon=True).start()
        stopped = self._daemon.wait_until_stopped(_STOP_TIMEOUT)
        if stopped and not self._failed:
            reactor.callFromThread(ended.callback, None)
            # The process ends meanwhile, unless something hangs.
            threading.Event().wait(_CLOSE_TIMEOUT)
        exit_at_once(os.EX_OK if self._signalled and not self._failed else 1)

    def _stop_daemon(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._calls)
        self._monitor.stop()
        self._daemon.stop()


def _stop_reactor() -> None:
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def _read_settings() -> Settings:
    """Read the settings; exit with the code for that if they cannot be used."""
    try:
        table = config.conf[TABLE]
        if not isinstance(table, dict):
            raise SettingsError([f"{_file()}: malformed key '{TABLE}'; expected a table"])
        settings, warnings = read_start_settings(toml_configuration(table, _file()), in_hub=False)
    except SettingsError as error:
        sys.stderr.writelines(f"{line}\n" for line in error.lines)
        exit_at_once(os.EX_CONFIG)
    translation = settings.fedmsg.get(TRANSLATION)
    if translation is not None:
        log.info("Read the configuration of fedbadges 2", **translation.read)
    for line in [*warnings, *_dangers()]:
        log.warning("Questionable configuration", warning=line)
    return settings


def _dangers() -> list[str]:
    """Return a warning for each queue that does not outlive the daemon."""
    return [
        f"the queue '{name}' is not durable, is exclusive or is deleted: what is sent while the "
        "daemon does not run is lost"
        for name, queue in config.conf["queues"].items()
        if queue["exclusive"] or queue["auto_delete"] or not queue["durable"]
    ]


def _file() -> Path:
    """Return the file that ``fedora-messaging`` has read."""
    context = click.get_current_context(silent=True)
    named = None if context is None else context.find_root().params.get("conf")
    return Path(named) if named else default_toml_file()
