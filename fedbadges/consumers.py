"""The consumer that ``fedmsg-hub`` finds: between moksha and the daemon."""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import Future
from typing import Any

from fedmsg.consumers import FedmsgConsumer
from moksha.common.lib.converters import asbool
from moksha.hub.reactor import reactor

from fedbadges.daemon import CannotStart, Daemon
from fedbadges.hub_signals import heed_signals
from fedbadges.rules.criteria import Unavailable
from fedbadges.settings import ENABLED, Settings, SettingsError, read_settings
from fedbadges.words import shown

log = logging.getLogger(__name__)


class FedoraBadgesConsumer(FedmsgConsumer):
    """Hands every message on the bus to the daemon."""

    topic = "*"
    config_key = ENABLED

    #: Set by the hub's base class once it takes part.
    _initialized = False

    def __init__(self, hub: Any) -> None:
        self._daemon: Daemon | None = None
        if not hub.config.get(self.config_key, False):
            super().__init__(hub)
            return
        _lend_handlers()
        # What is wrong is said here, in one line each: moksha would print a traceback, and go on.
        settings = _settings(hub.config)
        if settings is None:
            return
        daemon = self._make_daemon(settings)
        if daemon is None or not self._join(hub):
            return
        self._daemon = daemon
        daemon.start()
        # The hub's worker threads end during the shutdown, so after it nothing more is handed over.
        reactor.addSystemEventTrigger("after", "shutdown", daemon.stop)
        reactor.callWhenRunning(heed_signals, daemon.hurry)

    @property
    def prepared(self) -> Future[None] | None:
        """Becomes done when awards can be given; None if that will never be."""
        return None if self._daemon is None else self._daemon.prepared

    def consume(self, message: dict[str, Any]) -> None:
        """Handle one message; called by the hub's worker threads.

        In blocking mode, raises NotHandled where the message is to be handed over again.
        """
        if self._daemon is not None:
            self._daemon.handle(message.get("body"), wait=self.blocking_mode)

    def stop(self) -> None:
        """Take no more messages; called by the hub when it stops."""
        super().stop()
        if self._daemon is not None:
            self._daemon.hurry()

    def _join(self, hub: Any) -> bool:
        try:
            super().__init__(hub)
        except Exception as error:  # whatever moksha and fedmsg make of their configuration
            log.critical("Cannot take part in the hub: %s", shown(error))
            return False
        return True

    def _make_daemon(self, settings: Settings) -> Daemon | None:
        config = settings.fedmsg
        blocking = asbool(config.get("moksha.blocking_mode", False))
        try:
            daemon = Daemon(
                settings,
                backlog=lambda: 0 if blocking else int(self.incoming.qsize()),
                workers=1 if blocking else settings.workers,
                run=_run_here if config.get("zmq_enabled", True) else _run_in_reactor,
            )
            # Not with the first message: a mistake is to be seen at once.
            with contextlib.suppress(Unavailable):
                daemon.prepare()
        except CannotStart as error:
            log.critical("Cannot start: %s", error)
            return None
        return daemon


def _settings(config: dict[str, Any]) -> Settings | None:
    try:
        settings, warnings = read_settings(config, in_hub=True)
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
