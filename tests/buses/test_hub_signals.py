"""A hub that is told to stop, whatever its other parts do."""

from typing import Any

import moksha.hub
import pytest
from moksha.hub.hub import CentralMokshaHub
from moksha.hub.reactor import reactor

from fedbadges.buses.fedmsg.signals import stop_hub


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
