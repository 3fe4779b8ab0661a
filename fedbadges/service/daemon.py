"""The daemon: how it starts and stops, and what a bus calls."""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.errors import CannotStart, NotHandled, Stopped, Unavailable
from fedbadges.messages import Message, parse_message
from fedbadges.outbox.publisher import Publisher
from fedbadges.service.deliveries import AcknowledgedDelivery, Delivery, RetriedDelivery
from fedbadges.service.lifecycle import State
from fedbadges.service.liveness import Liveness
from fedbadges.service.metrics.latency import measure_databases
from fedbadges.service.metrics.server import MetricsServer
from fedbadges.service.rule_watcher import RuleWatcher
from fedbadges.service.startup import (
    lock_state_directory,
    prepare_start,
    remember_recent_people,
)
from fedbadges.service.status import report
from fedbadges.service.systemd import Systemd
from fedbadges.service.wiring import Parts
from fedbadges.signatures.verifier import Verifier
from fedbadges.util.garbage import spare_what_is_loaded
from fedbadges.util.json_text import nests_too_deep
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds between two looks whether something hangs, and from how many on it does.
_PAUSE = 0.1
_HANGING = 1.0


class Daemon:
    """Awards badges for the messages that a bus hands over.

    ``verifier`` verifies what is read back from datanommer, unless that is trusted. ``backlog``
    returns how many messages wait on the bus's side; ``workers`` is how many threads hand them
    over. With ``redelivered``, a broker delivers what no daemon has acknowledged, and so nothing
    else is caught up from datanommer. Creating a daemon asks nothing of a database.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        verifier: Verifier | None = None,
        *,
        backlog: Callable[[], int] = lambda: 0,
        workers: int = 1,
        redelivered: bool = False,
    ) -> None:
        self._settings = settings
        self._parts = parts = Parts(settings, publisher, verifier, backlog, workers, redelivered)
        self._prepare = partial(prepare_start, settings, parts)
        self._lifecycle = lifecycle = parts.lifecycle
        self._watcher = RuleWatcher(settings.rules_directory, self.reload_rules)
        self._systemd = Systemd()
        self._liveness = Liveness(parts, settings.consume_delay, self._systemd)
        self._metrics = MetricsServer(
            settings.metrics_address,
            self.report,
            lambda: self._liveness.reason,
            settings.metrics_max_lag,
        )
        drain = (
            parts.warm_up.request_stop,
            parts.first_comers.request_stop,
            parts.catch_up.request_stop,
            parts.outages.stop,
            parts.delay_queue.drain,
        )
        stop = (
            parts.warm_up.stop,
            self._watcher.stop,
            parts.pipeline.flush,
            parts.delay_queue.stop,
            parts.catch_up.stop,
            parts.first_comers.stop,
            parts.current_values.stop,
            parts.ranks.stop,
            parts.outbox.stop,
            parts.counts.stop,
            parts.lock.release,
            self._liveness.stop,
            self._metrics.stop,
        )
        lifecycle.on(State.RUNNING, parts.outbox.start, parts.ranks.start, parts.delay_queue.start)
        lifecycle.on(State.FAILED, *drain, *stop)
        lifecycle.on(State.DRAINING, self._systemd.stopping, *drain)
        lifecycle.on(State.STOPPED, *stop)

    @property
    def started(self) -> Future[None]:
        """Return what becomes done when messages are handled, as Lifecycle says."""
        return self._lifecycle.started

    def start(self) -> None:
        """Start; while a database is away, this goes on in the background.

        Raises CannotStart if waiting does not help.
        """
        parts = self._parts
        # Nothing is caught up before its notices are heard.
        catch_up = partial(parts.outbox.when_ready, parts.catch_up.start)
        self._lifecycle.on(State.RUNNING, parts.counts.start, self._remember_recent_people)
        self._lifecycle.on(State.RUNNING, self._create_checkpoint, catch_up)
        self._lifecycle.on(State.RUNNING, parts.first_comers.start, parts.warm_up.start)
        if self._settings.progress:
            self._lifecycle.on(State.RUNNING, parts.current_values.start)
        if self._settings.reload:
            self._lifecycle.on(State.RUNNING, self._watcher.start)
        measure = partial(measure_databases, self._settings)
        self._lifecycle.on(State.STARTING, measure, self._metrics.start, self._liveness.start)
        self._lifecycle.enter(State.STARTING)
        # In a thread, as a signal is not handled while the main one waits for a server.
        tried: Future[None] = Future()
        threading.Thread(
            target=self._start, args=(tried,), name="fedbadges-start", daemon=True
        ).start()
        tried.result()
        # Also while a database is away: what waits for it must not be killed.
        self._systemd.ready()

    def retry_dead_letters(self) -> list[tuple[Path, str]]:
        """Start, handle the dead letters, and return those that fail again, each with the reason.

        Raises CannotStart if waiting does not help.
        """
        self._lifecycle.enter(State.STARTING)
        self._parts.outages.call(self._prepare)
        self._lifecycle.enter(State.RUNNING)
        return self._parts.dead_letters.retry(
            lambda message: self._handle_and_wait(message, RetriedDelivery)
        )

    def handle(self, body: Any, *, size: int = 0) -> None:
        """Handle what came from a bus that forgets it; raise nothing.

        The message may be done only later. ``size`` is how large its JSON was, in characters.
        """
        message = parse_message(body, size=size)
        if message is not None and self._lifecycle.state is not State.FAILED:
            parts = self._parts
            parts.pipeline.receive(Delivery(message, parts.in_flight, parts.dead_letters))

    def handle_acknowledged(
        self,
        body: Any,
        *,
        users: frozenset[str] = frozenset(),
        packages: frozenset[str] = frozenset(),
    ) -> None:
        """Handle what the bus keeps until this returns; raise NotHandled to get it once more.

        ``users`` and ``packages`` are those that the message's schema names, where it has one.
        """
        message = parse_message(body, users, known_packages=packages)
        if message is None:
            return
        if nests_too_deep(body):
            # Nor would it be read back from datanommer.
            log.warning("Ignored a message that is nested too deep", msg_id=message.msg_id)
            return
        if self._lifecycle.state is not State.RUNNING:
            raise NotHandled("stopping" if self._lifecycle.is_draining else "not started yet")
        self._handle_and_wait(message, AcknowledgedDelivery)

    def must_shed(self, count: int, size: int = 0) -> bool:
        """Return True if a message must not wait in memory, but be read back later.

        ``count`` messages wait on the bus's side, with ``size`` characters of JSON together.
        """
        shed = self._parts.back_pressure.must_shed(count, size)
        if shed:
            self._parts.catch_up.wake()
        return shed

    def flush(self) -> None:
        """Handle what waits for its batch; called when no message waits on the bus's side."""
        self._parts.pipeline.flush()
        self._parts.back_pressure.relax()

    def report(self) -> dict[str, Any]:
        """Return what the daemon is doing, as plain values; this takes a second at most."""
        return report(self._parts)

    def beat(self) -> None:
        """Note that the bus's main loop runs; it calls this every few seconds, or never."""
        self._liveness.beat()

    def reload_rules(self) -> None:
        """Load the rules again, as files have changed."""
        with contextlib.suppress(Stopped):
            self._parts.outages.call(self._parts.load_rules)

    def drain(self) -> None:
        """Wait for nothing any more, as the daemon is about to stop."""
        self._lifecycle.enter(State.DRAINING)

    def stop(self) -> None:
        """Finish or release what is in flight, publish what was awarded, and end all threads."""
        self._lifecycle.stop()

    def wait_until_stopped(self, seconds: float) -> bool:
        """Return True when the daemon has stopped, or False if it hangs after so many seconds.

        Then a server does not answer, and what is in flight is left to the next process. While
        nothing hangs there is just much to do, and this goes on waiting.
        """
        while not self._lifecycle.stopped.wait(seconds):
            if self._hangs():
                log.warning(
                    "Stopping without an answer, leaving what is in flight to the next start"
                )
                self._parts.checkpoint.write(now=True)
                return False
            seconds = _PAUSE
        return True

    def _hangs(self) -> bool:
        lifecycle = self._lifecycle
        if lifecycle.state is State.STOPPED and time.monotonic() - lifecycle.entered > _HANGING:
            return True
        if self._parts.in_flight.is_stuck(_HANGING):
            return True
        return self._parts.verifier is not None and self._parts.verifier.is_stuck(_HANGING)

    def _start(self, tried: Future[None]) -> None:
        """Start; ``tried`` is done when that has succeeded, has failed, or takes longer."""
        parts = self._parts
        try:
            lock_state_directory(parts)
            try:
                self._prepare()
            except Unavailable:
                self._create_checkpoint()
                tried.set_result(None)
                parts.outages.call(self._prepare)
            spare_what_is_loaded()
            self._lifecycle.enter(State.RUNNING)
        except Stopped:
            return
        except CannotStart as error:
            self._lifecycle.fail(error)
            if not tried.done():
                tried.set_exception(error)
        finally:
            if not tried.done():
                tried.set_result(None)

    def _remember_recent_people(self) -> None:
        parts = self._parts
        remember_recent_people(parts.history, parts.store, parts.engine.rules)

    def _create_checkpoint(self) -> None:
        """Write the first checkpoint, where the next start is going to catch up from it."""
        if self._parts.catch_up.is_whole:
            self._parts.checkpoint.create()

    def _handle_and_wait(self, message: Message, kind: type[AcknowledgedDelivery]) -> None:
        delivery = kind(message, self._parts.in_flight, self._parts.dead_letters)
        self._parts.pipeline.receive(delivery)
        delivery.wait()
