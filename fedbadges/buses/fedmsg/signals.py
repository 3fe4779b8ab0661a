"""Signals that stop a hub, at once.

moksha stops on SIGINT and SIGHUP only. Neither wakes an idle reactor, and SIGTERM kills the hub in
the middle of a message. Its producers, such as the one of the monitoring socket, sleep for seconds,
and the hub waits for them.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

import moksha.hub
import moksha.hub.api.producer
from moksha.hub.reactor import reactor
from twisted.internet.error import ReactorNotRunning

from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Set when all producers know that they are to end.
_stopped = threading.Event()

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def install_signal_handlers(drain: Callable[[], None]) -> Callable[[], None]:
    """Stop the hub on the first signal, and exit at once on the second.

    ``drain`` is called first, in a thread of its own, so that whatever the reactor's thread waits
    for does not keep the hub from stopping. A reactor that does not run yet stops as soon as it
    does. In another thread than the main one this does nothing. Returns what restores the handlers
    that there were.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def stop(number: int, frame: FrameType | None) -> None:
        for other in _SIGNALS:
            signal.signal(other, lambda number, frame: os._exit(128 + number))
        # In this thread, it could wait for a lock that this thread holds.
        threading.Thread(target=drain, name="fedbadges-stop", daemon=True).start()
        # Unlike a direct call, this wakes the reactor.
        reactor.callFromThread(stop_hub)

    def restore() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)

    for number in _SIGNALS:
        signal.signal(number, stop)
    return restore


def let_producers_wake() -> None:
    """Let the producers that sleep from now on, until they are due, wake when the hub stops."""
    moksha.hub.api.producer.time = SimpleNamespace(time=time.time, sleep=_stopped.wait)


def stop_hub() -> None:
    """Stop the hub that runs in this process; called in the reactor's thread."""
    hub = getattr(moksha.hub, "_hub", None)
    if hub is not None:
        _stop_parts(hub)
    _stopped.set()
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def _stop_parts(hub: Any) -> None:
    """Stop all consumers and producers, even if one of them fails to stop."""
    for _ in range(len(hub.consumers or ()) + len(hub.producers or ()) + 1):
        try:
            # It takes each off its list before.
            hub.stop()
            return
        except Exception as error:  # whatever the code of others raises
            log.error("A part of the hub did not stop", error=error)
