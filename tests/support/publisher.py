"""A publisher without a bus."""

import threading

from fedbadges.messages import Notice
from fedbadges.outbox.publisher import Result


class FakePublisher:
    """A publisher that notes what it sends; ``failure`` is why it cannot."""

    def __init__(self) -> None:
        self.sent: list[Notice] = []
        self.tried: list[Notice] = []
        self.failure: str | None = None
        self.cannot: str | None = None
        self.holding = False
        self.held: list[tuple[Notice, Result]] = []
        self.ready = threading.Event()
        self.ready.set()

    @property
    def unsent(self) -> int:
        return 0

    def start(self) -> None:
        pass

    def trouble(self, timeout: float = 0.0) -> str | None:
        return self.cannot

    def wait_until_ready(self, timeout: float) -> bool:
        return self.ready.wait(timeout)

    def publish(self, notice: Notice, result: Result) -> None:
        if self.holding:
            self.held.append((notice, result))
            return
        self.tried.append(notice)
        error = self.cannot or self.failure
        if error is None:
            self.sent.append(notice)
        result(notice, error)

    def stop(self, timeout: float = 5.0) -> bool:
        self.ready.set()
        return True

    def finish(self, timeout: float = 15.0) -> bool:
        return True
