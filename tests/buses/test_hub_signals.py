"""A hub that is told to stop, whatever its other parts do."""

import threading
from typing import Any

import moksha.hub
import moksha.hub.api.producer
import pytest
from moksha.hub.api.producer import PollingProducer
from moksha.hub.hub import CentralMokshaHub
from moksha.hub.reactor import reactor
from support.waiting import TIMEOUT, eventually

from fedbadges.buses.fedmsg import signals
from fedbadges.buses.fedmsg.signals import let_producers_wake, stop_hub


class Part:
    """A consumer or producer."""

    def __init__(self, error: Exception | None = None) -> None:
        self.stopped = False
        self._error = error

    def stop(self) -> None:
        self.stopped = True
        if self._error is not None:
            raise self._error


def test_parts_that_stumble_keep_neither_the_others_nor_the_reactor_from_stopping(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub: Any = object.__new__(CentralMokshaHub)
    parts = [Part(), Part(ValueError("no")), Part(), Part(ValueError("never"))]
    hub.extensions, hub.producers, hub.consumers = [], parts[3:], parts[:3]
    monkeypatch.setattr(moksha.hub, "_hub", hub, raising=False)
    stopped: list[bool] = []
    monkeypatch.setattr(reactor, "stop", lambda: stopped.append(True))

    stop_hub()

    assert stopped == [True]
    assert all(part.stopped for part in parts)
    assert [line[:30] for line in caplog.messages] == ["A part of the hub did not stop"] * 2


class Daily(PollingProducer):
    """A producer like that of the monitoring socket."""

    frequency = 86_400.0

    def poll(self) -> None:
        """Produce nothing."""


def test_producer_that_sleeps_ends_at_once_when_the_hub_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            slept.append(timeout or 0.0)
            return super().wait(TIMEOUT)

    monkeypatch.setattr(signals, "_stopped", Stopped())
    monkeypatch.setattr(moksha.hub.api.producer, "time", moksha.hub.api.producer.time)
    threads: list[threading.Thread] = []

    def call(function: Any) -> None:
        threads.append(threading.Thread(target=function, daemon=True))
        threads[0].start()

    monkeypatch.setattr(reactor, "callInThread", call)
    monkeypatch.setattr(reactor, "stop", lambda: None)
    hub: Any = object.__new__(CentralMokshaHub)
    let_producers_wake()
    hub.extensions, hub.consumers, hub.producers = [], [], [Daily(None)]
    monkeypatch.setattr(moksha.hub, "_hub", hub, raising=False)
    eventually(lambda: slept, "it sleeps")

    stop_hub()

    threads[0].join(TIMEOUT / 2)
    assert not threads[0].is_alive()
    assert len(slept) == 1
