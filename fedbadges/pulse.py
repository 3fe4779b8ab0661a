"""Whether the databases answer at this moment, asked without waiting for one that hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait

from sqlalchemy import URL, text

from fedbadges.databases import asking, reader
from fedbadges.rules.criteria import Unavailable
from fedbadges.settings import Settings
from fedbadges.words import words_of

#: Seconds in which a database that is well answers.
_PROMPT = 1.0


class Pulse:
    """Asks each of some databases whether it is there; at most one question to each is open.

    ``questions`` are called in threads of their own, and raise where the answer is no.
    """

    def __init__(self, questions: Mapping[str, Callable[[], object]]) -> None:
        self._questions = questions
        self._open: dict[str, tuple[Future[None], float]] = {}

    def feel(self) -> dict[str, str | None]:
        """Ask all at once, for a second; gives by name why one does not answer, or None."""
        for name, question in self._questions.items():
            if name not in self._open or self._open[name][0].done():
                self._open[name] = (_ask(question), time.monotonic())
        wait([answer for answer, _ in self._open.values()], _PROMPT)
        return {name: _trouble(name, *self._open[name]) for name in self._questions}


def pulse_of(settings: Settings) -> Pulse:
    """Make what asks tahrir's and datanommer's databases."""
    return Pulse(
        {
            "tahrir": _question("tahrir", settings.tahrir_url, settings),
            "datanommer": _question("datanommer", settings.history_url, settings),
        }
    )


def _question(name: str, url: URL, settings: Settings) -> Callable[[], None]:
    made = reader(url, settings.prepare_statements)

    def ask() -> None:
        with asking(name), made.connect() as connection:
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
    return words_of(error)
