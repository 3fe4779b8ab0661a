"""Stopping a hub by a signal.

moksha stops on SIGINT and SIGHUP only, and an idle reactor sleeps through both, because nothing
wakes it; SIGTERM kills it in the middle of a message.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import moksha.hub
from moksha.hub.reactor import reactor
from twisted.internet.error import ReactorNotRunning

from fedbadges.util.text import short_repr

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def install_signal_handlers(hurry: Callable[[], None]) -> None:
    """Stop the hub when one of the signals comes, and the process at once when a second one does.

    ``hurry`` is called first, in a thread of its own: what the reactor's thread waits for must not
    keep it from stopping. Where the reactor does not run yet, it stops as soon as it does. In
    another thread than the main one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    def first(number: int, frame: FrameType | None) -> None:
        for other in _SIGNALS:
            signal.signal(other, _second)
        # Directly, it could want a lock that this very thread holds.
        threading.Thread(target=hurry, name="fedbadges-hurry", daemon=True).start()
        # Unlike a direct call, this wakes the reactor.
        reactor.callFromThread(stop_hub)

    for number in _SIGNALS:
        signal.signal(number, first)


def _second(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def stop_hub() -> None:
    """End the hub that runs in this process; to be called in the reactor's thread."""
    hub = getattr(moksha.hub, "_hub", None)
    if hub is not None:
        _stop_parts(hub)
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def _stop_parts(hub: Any) -> None:
    """Have all consumers and producers stop, also where one of them stumbles over it."""
    for _ in range(len(hub.consumers or ()) + len(hub.producers or ()) + 1):
        try:
            # It takes each off its list before.
            hub.stop()
            return
        except Exception as error:  # whatever others do at their end
            log.error("A part of the hub did not stop well: %s", short_repr(error))
