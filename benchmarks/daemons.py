"""Makes daemons that hear no bus and publish nowhere, for measurements beside the hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fedmsg.config
from deployment import make_settings

from fedbadges.messages import Notice
from fedbadges.outbox.publisher import Result
from fedbadges.service.daemon import Daemon


class _Silent:
    """A publisher that says of everything that it was sent."""

    unsent = 0

    def start(self) -> None:
        """Start nothing."""

    def trouble(self, timeout: float = 0.0) -> str | None:
        return None

    def wait_until_ready(self, timeout: float) -> bool:
        return True

    def publish(self, notice: Notice, result: Result) -> None:
        result(notice, None)

    def stop(self, timeout: float = 5.0) -> bool:
        return True

    finish = stop


@contextmanager
def running(
    rules: Path, tahrir_url: str, history_url: str, state: Path, **keys: Any
) -> Iterator[Daemon]:
    """Start a daemon with a state directory; stop it at the end."""
    settings, _ = make_settings(
        rules,
        tahrir_url,
        history_url,
        **fedmsg.config.defaults,
        **{"badges.state_directory": str(state), "badges.trust_history": True, **keys},
    )
    daemon = Daemon(settings, _Silent())
    daemon.start()
    daemon.started.result()
    try:
        yield daemon
    finally:
        daemon.stop()
