"""Failure points: places in the code at which the process of a test is killed.

Nothing in fedbadges knows of them. A test arms one after the modules are imported: functions are
replaced by some that kill, and SQLAlchemy's events tell of statements and commits.
"""

import functools
import importlib
import os
import re
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BEFORE, AFTER = "before", "after"


@dataclass
class _Countdown:
    """Kills the process when it was called so many times."""

    name: str
    times: int
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> None:
        with self._lock:
            self.times -= 1
            if self.times == 0:
                os.write(2, f"Killed at the failure point {self.name}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Call:
    """Before or after a call of a function: ``module:function`` or ``module:Class.method``."""

    target: str
    when: str
    times: int = 1

    @property
    def name(self) -> str:
        return f"{self.when} {self.target}"

    def find(self) -> tuple[Any, str, Callable[..., Any]]:
        """Return what has the function, its name there, and the function."""
        module, _, path = self.target.partition(":")
        owner: Any = importlib.import_module(module)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        return owner, name, getattr(owner, name)

    def arm(self) -> None:
        owner, name, function = self.find()
        count = _Countdown(self.name, self.times)

        @functools.wraps(function)
        def killing(*arguments: Any, **options: Any) -> Any:
            if self.when == BEFORE:
                count()
            result = function(*arguments, **options)
            if self.when == AFTER:
                count()
            return result

        setattr(owner, name, killing)
        # Those who have imported it by its name call that.
        for module in [each for key, each in sys.modules.items() if key.startswith("fedbadges")]:
            for key, value in list(vars(module).items()):
                if value is function:
                    setattr(module, key, killing)


@dataclass(frozen=True)
class Statement:
    """Before or after a statement with this text is executed."""

    pattern: str
    when: str
    times: int = 1

    @property
    def name(self) -> str:
        return f"{self.when} {self.pattern}"

    def arm(self) -> None:
        import sqlalchemy as sa

        count = _Countdown(self.name, self.times)

        def noted(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
            if re.search(self.pattern, statement):
                count()

        sa.event.listen(sa.Engine, f"{self.when}_cursor_execute", noted)


@dataclass(frozen=True)
class Commit:
    """Before or after a commit of a transaction with a statement with this text."""

    pattern: str
    when: str
    times: int = 1

    @property
    def name(self) -> str:
        return f"{self.when} the commit of {self.pattern}"

    def arm(self) -> None:
        import sqlalchemy as sa
        from sqlalchemy.engine.default import DefaultDialect

        count = _Countdown(self.name, self.times)
        executed: dict[int, bool] = defaultdict(bool)
        commit = DefaultDialect.do_commit

        def noted(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
            if re.search(self.pattern, statement):
                executed[id(connection.connection.dbapi_connection)] = True

        def committing(dialect: Any, connection: Any) -> None:
            found = executed.pop(id(getattr(connection, "dbapi_connection", connection)), False)
            if found and self.when == BEFORE:
                count()
            commit(dialect, connection)
            if found and self.when == AFTER:
                count()

        sa.event.listen(sa.Engine, "before_cursor_execute", noted)
        DefaultDialect.do_commit = committing  # type: ignore[method-assign]


Point = Call | Statement | Commit


def _both(make: Callable[[str, str, int], Point], what: str, times: int = 1) -> list[Point]:
    return [make(what, when, times) for when in (BEFORE, AFTER)]


_SERVICE = "fedbadges.service"
_PIPELINE = f"{_SERVICE}.pipeline:Pipeline"

_POINTS: list[Point] = [
    # The awards' transaction, and the outbox's.
    *_both(Statement, "INSERT INTO persons"),
    *_both(Statement, "INSERT INTO assertions", 2),
    *_both(Statement, "INSERT INTO fedbadges_outbox", 2),
    *_both(Commit, "INSERT INTO assertions", 3),
    *_both(Statement, "DELETE FROM fedbadges_outbox", 2),
    *_both(Commit, "DELETE FROM fedbadges_outbox", 3),
    *_both(Statement, "UPDATE persons SET rank"),
    *_both(Commit, "UPDATE persons SET rank"),
    # Publishing.
    *_both(Call, "fedmsg.core:FedMsgContext.publish", 5),
    # The way of a message.
    *_both(Call, f"{_PIPELINE}._match", 20),
    *_both(Call, f"{_PIPELINE}._find_candidates", 3),
    *_both(Call, f"{_PIPELINE}._look_up_stored", 3),
    *_both(Call, f"{_PIPELINE}._decide", 4),
    *_both(Call, "fedbadges.engine.engine:BadgeEngine.judge", 7),
    *_both(Call, "fedbadges.engine.engine:BadgeEngine.award", 2),
    *_both(Call, f"{_SERVICE}.deliveries:Delivery.done", 10),
    # Catching up and the checkpoint.
    Call("fedbadges.history.message_reader:MessageReader.messages", AFTER),
    *_both(Call, f"{_SERVICE}.catch_up:CatchUp.catch_up"),
    *_both(Call, f"{_SERVICE}.catch_up:CatchUp.sweep"),
    *_both(Call, "fedbadges.util.files:write_json", 2),
    *_both(Call, "pathlib:Path.replace", 3),
]

POINTS: dict[str, Point] = {point.name: point for point in _POINTS}
"""By their names."""
