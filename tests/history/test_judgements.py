"""Which judgements a message changes that is stored later."""

from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message, make_settings
from support.databases import Databases

from fedbadges.history import judgements as module
from fedbadges.history.history import History
from fedbadges.history.judgements import Judgements
from fedbadges.history.message_reader import MessageReader
from fedbadges.rules.filters import FilledFilter

pytestmark = pytest.mark.sqlite

SENT = 1_700_000_000.0


class Judged:
    """A history with judgements of its messages."""

    def __init__(self, databases: Databases, directory: Path) -> None:
        settings = make_settings(databases, directory)
        self._history = History(settings)
        self._reader = MessageReader(settings)
        self.judgements = Judgements(settings, self._history)

    def store(self, user: str, age: float) -> Any:
        message = make_message("logger.log", {"user": user}, timestamp=SENT - age)
        return self._history.record(message, [user], [])

    def judge(self, position: Any, **lists: str) -> int:
        filled = FilledFilter(tuple((key, (text,)) for key, text in sorted(lists.items())))
        judgements = self.judgements
        judgements.add(position, judgements.horizon(position), [filled])
        return int(position[1])

    def outdated(self, *positions: Any) -> list[int]:
        numbers = [int(position[1]) for position in positions]
        return sorted(self.judgements.outdated(self._reader.headers(numbers)))


@pytest.fixture
def judged(database: Databases, tmp_path: Path) -> Judged:
    return Judged(database, tmp_path)


@pytest.mark.parametrize(
    "lists",
    [{"users": "ann"}, {"categories": "logger", "users": "ann"}, {"contains": "nothing"}],
)
def test_message_that_is_stored_late_outdates_what_was_judged_without_it(
    judged: Judged, lists: dict[str, str]
) -> None:
    number = judged.judge(judged.store("ann", 10), **lists)

    assert judged.outdated(judged.store("ann", 20)) == [number]


@pytest.mark.parametrize(
    ("lists", "age"),
    [
        ({"users": "bea"}, 20),
        ({"categories": "git", "contains": "ann"}, 20),
        ({"users": "ann"}, 5),
    ],
)
def test_other_messages_outdate_nothing(judged: Judged, lists: dict[str, str], age: float) -> None:
    judged.judge(judged.store("ann", 10), **lists)

    assert judged.outdated(judged.store("ann", age)) == []


def test_filters_about_other_people_cost_next_to_nothing(
    judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an import of old messages: each is compared with thousands of judgements."""
    made: list[FilledFilter] = []

    class Matcher(module.Matcher):
        def __init__(self, filled: FilledFilter) -> None:
            made.append(filled)
            super().__init__(filled)

    monkeypatch.setattr(module, "Matcher", Matcher)
    ann = [judged.judge(judged.store("ann", 10), users="ann") for _ in range(3)]
    for each in range(10):
        judged.judge(judged.store("bea", 10), users=f"bea{each}")

    assert judged.outdated(*(judged.store("ann", 20) for _ in range(5))) == ann
    assert len(made) == 1
