"""The consumer that ``fedmsg-hub`` finds: between moksha and the daemon."""

from __future__ import annotations

import logging
from typing import Any

from fedmsg.consumers import FedmsgConsumer
from moksha.common.lib.converters import asbool
from moksha.hub.reactor import reactor
from sqlalchemy import exc

from fedbadges.daemon import Daemon
from fedbadges.hub_signals import heed_signals
from fedbadges.rules.criteria import Unavailable
from fedbadges.settings import ENABLED, Settings, SettingsError, read_settings

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
        if daemon is None:
            return
        super().__init__(hub)
        self._daemon = daemon
        daemon.start()
        # The hub's worker threads end during the shutdown, so after it nothing more is handed over.
        reactor.addSystemEventTrigger("after", "shutdown", daemon.stop)
        reactor.callWhenRunning(heed_signals)

    def consume(self, message: dict[str, Any]) -> None:
        """Handle one message; called by the hub's worker threads."""
        if self._daemon is not None:
            self._daemon.handle(message.get("body"), wait=self.blocking_mode)

    def stop(self) -> None:
        """Take no more messages; called by the hub when it stops."""
        super().stop()
        if self._daemon is not None:
            self._daemon.hurry()

    def _make_daemon(self, settings: Settings) -> Daemon | None:
        config = settings.fedmsg
        blocking = asbool(config.get("moksha.blocking_mode", False))
        try:
            return Daemon(
                settings,
                backlog=lambda: 0 if blocking else int(self.incoming.qsize()),
                workers=1 if blocking else int(config.get("moksha.workers_per_consumer", 1)),
                run=_run_here if config.get("zmq_enabled", True) else _run_in_reactor,
            )
        except Unavailable as unavailable:
            log.critical("Cannot start: %s", unavailable)
        except (exc.ProgrammingError, exc.OperationalError) as error:
            words = " ".join(str(error.orig).split())
            log.critical(
                "Cannot start: %s. Are the tables there? 'badges.create_tables': True makes them.",
                words,
            )
        except exc.SQLAlchemyError as error:
            log.critical("Cannot start: %s", " ".join(str(error).split()))
        return None


def _settings(config: dict[str, Any]) -> Settings | None:
    try:
        settings, warnings = read_settings(config)
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
