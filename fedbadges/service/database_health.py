"""Whether the databases answer at this moment, asked without waiting for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait

from sqlalchemy import URL, text

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.errors import Unavailable
from fedbadges.util.text import describe_error

#: Seconds in which a database that is well answers.
_PROMPT = 1.0


class DatabaseHealth:
    """Asks each of some databases whether it is there; at most one question to each is open.

    ``questions`` are called in threads of their own, and raise where the answer is no.
    """

    def __init__(self, questions: Mapping[str, Callable[[], object]]) -> None:
        self._questions = questions
        self._open: dict[str, tuple[Future[None], float]] = {}

    def check(self) -> dict[str, str | None]:
        """Ask all at once, for a second; gives by name why one does not answer, or None."""
        for name, question in self._questions.items():
            if name not in self._open or self._open[name][0].done():
                self._open[name] = (_ask(question), time.monotonic())
        wait([answer for answer, _ in self._open.values()], _PROMPT)
        return {name: _trouble(name, *self._open[name]) for name in self._questions}


def database_health(settings: Settings) -> DatabaseHealth:
    """Make what asks tahrir's and datanommer's databases."""
    return DatabaseHealth(
        {
            "tahrir": _question("tahrir", settings.tahrir_url, settings),
            "datanommer": _question("datanommer", settings.history_url, settings),
        }
    )


def _question(name: str, url: URL, settings: Settings) -> Callable[[], None]:
    made = reader(url, settings.prepare_statements)

    def ask() -> None:
        with translate_errors(name), made.connect() as connection:
            connection.execute(text("SELECT 1"))

    return ask


def _ask(question: Callable[[], object]) -> Future[None]:
    answer: Future[None] = Future()

    def work() -> None:
        try:
            question()
        except Exception as error:  # whatever a driver says
            answer.set_exception(error)
        else:
            answer.set_result(None)

    threading.Thread(target=work, name="fedbadges-pulse", daemon=True).start()
    return answer


def _trouble(name: str, answer: Future[None], since: float) -> str | None:
    if not answer.done():
        return f"no answer for {time.monotonic() - since:.0f} s"
    error = answer.exception()
    if error is None:
        return None
    if isinstance(error, Unavailable):
        return str(error).removeprefix(f"{name}: ")
    return describe_error(error)
