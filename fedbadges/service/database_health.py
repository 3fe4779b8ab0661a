"""Health of the databases, checked without waiting for one that hangs."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from functools import partial

from sqlalchemy import Engine, text

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.errors import Unavailable
from fedbadges.tahrir.database import Tahrir
from fedbadges.util.text import describe_error

#: Seconds in which a healthy database answers.
_TIMEOUT = 1.0


class DatabaseHealth:
    """Runs health checks, at most one of each at a time; thread-safe.

    ``checks`` are called in threads of their own, and raise an error if a database is not healthy.
    """

    def __init__(self, checks: Mapping[str, Callable[[], object]]) -> None:
        self._checks = checks
        self._running: dict[str, tuple[Future[object], float]] = {}
        self._lock = threading.Lock()
        # When the last round of checks began, by ``time.monotonic``, and what it found.
        self._began = float("-inf")
        self._found: dict[str, str | None] = {}

    def check(self) -> dict[str, str | None]:
        """Run all checks at once, for a second; return by name what is wrong, or None.

        Callers that wait for the same round share what it finds, so nobody waits for more than two.
        """
        asked = time.monotonic()
        with self._lock:
            if self._began < asked:
                self._began, self._found = time.monotonic(), self._run_checks()
            return dict(self._found)

    def _run_checks(self) -> dict[str, str | None]:
        for name, check in self._checks.items():
            if name not in self._running or self._running[name][0].done():
                self._running[name] = (_run(check), time.monotonic())
        wait([answer for answer, _ in self._running.values()], _TIMEOUT)
        return {name: _problem(name, *self._running[name]) for name in self._checks}

    def answer(self, name: str) -> object:
        """Return what the last check returned; None if it failed, or is still running."""
        running = self._running.get(name)
        if running is None or not running[0].done() or running[0].exception() is not None:
            return None
        return running[0].result()


def database_health(settings: Settings, tahrir: Tahrir) -> DatabaseHealth:
    """Create the health checks of tahrir's and datanommer's databases.

    That of tahrir returns how many revocations are recorded.
    """
    history = reader(settings.history_url, settings.prepare_statements)
    return DatabaseHealth(
        {"tahrir": tahrir.check, "datanommer": partial(_query, "datanommer", history)}
    )


def _query(name: str, engine: Engine) -> None:
    with translate_errors(name), engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def _run(check: Callable[[], object]) -> Future[object]:
    answer: Future[object] = Future()

    def work() -> None:
        try:
            answer.set_result(check())
        except Exception as error:  # whatever a driver raises
            answer.set_exception(error)

    threading.Thread(target=work, name="fedbadges-health", daemon=True).start()
    return answer


def _problem(name: str, answer: Future[object], since: float) -> str | None:
    if not answer.done():
        return f"no answer for {time.monotonic() - since:.0f} s"
    error = answer.exception()
    if isinstance(error, Unavailable):
        return str(error).removeprefix(f"{name}: ")
    return None if error is None else describe_error(error)
