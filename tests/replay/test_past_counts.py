"""What one pass over the history counts for everybody is what questions about them find."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from support.builders import make_settings, statements, wipe
from support.cached_history import outcome
from support.daemon_restarts import sent, store_message
from support.damage import store_damaged_rows
from support.databases import Databases
from support.histories import PastMessage, Storage
from support.rules import load_rules
from support.rules import rule as rule_text
from support.strategies import NAMES, START

from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import PastMessages, shared_history
from fedbadges.history.count_cache import CountCache
from fedbadges.history.fold_cache import FoldCache
from fedbadges.history.history import History
from fedbadges.history.message_reader import MessageReader
from fedbadges.messages import Message, Position, parse_message
from fedbadges.replay import past_counts
from fedbadges.replay.past_counts import PastCounts, counted_questions
from fedbadges.rules.criteria import backend_criteria

DISTANCE = 60.0


@pytest.fixture(scope="module")
def settings(shared_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(shared_database, tmp_path_factory.mktemp("rules"))


@pytest.fixture
def databases(shared_database: Databases) -> Databases:
    wipe(shared_database)
    return shared_database


class Asking:
    """A history whose counts are cached, and one without a cache, asked by the same rules."""

    def __init__(self, settings: Settings, texts: Iterable[str], now: datetime) -> None:
        backends = load_backends(settings)
        self.settings = settings
        self.history = shared_history(backends, settings)
        self.rules = load_rules(texts, backends)
        self.plain = History(replace(settings, keep_counts=False))
        clock = now.replace(tzinfo=timezone.utc).timestamp
        self.history.counts = CountCache(self.history.counts._region, DISTANCE, clock)
        self.history.folds = FoldCache(DISTANCE, clock, self.history.kept)

    def warm(self) -> PastCounts:
        past = PastCounts(self.settings, self.history, counted_questions(self.rules))
        for _ in past.run():
            pass
        return past

    def compare(self, message: Message, until: Position | None) -> int:
        """Compare the results of all operations up to a position; return how many counts it has."""
        compared = 0
        for rule in self.rules:
            for criterion in backend_criteria(rule.criteria):
                assert isinstance(criterion, PastMessages)
                for name in NAMES:
                    about = criterion, message, name, until
                    found = outcome(value_of, self.history, *about)
                    assert found == outcome(value_of, self.plain, *about)
                    compared += found not in ("0", "None")
        return compared


def value_of(
    history: History, criterion: PastMessages, message: Message, name: str, until: Position | None
) -> object:
    """Returns the result of an operation, if it is one that may be cached."""
    expression = criterion.operation.expression
    filled = criterion.filter.fill(message, name)
    if criterion._counts(filled):
        return history.count(filled, None, message, expression, {}, until)
    if expression is not None and expression.fold is not None and filled.pages.in_order:
        return history.fold(expression, filled, message, until, {})
    return None


def stored(settings: Settings, past: PastMessage) -> Message:
    (found,) = MessageReader(settings).messages([past.number])
    message = parse_message(found.body, found.users)
    assert message is not None
    return message


KINDS = {
    "count": ("count", 3),
    "test": ({"lambda": "len([m for m in query.all() if m.msg['n'] > 1])"}, 2),
    "distinct": ({"lambda": "len({m.msg['n'] % 2 for m in query.all()})"}, 2),
    "sum": ({"lambda": "sum(m.msg['n'] for m in query.all())"}, 6),
}


def counting(kind: str) -> str:
    operation, _ = KINDS[kind]
    return (
        rule_text(
            f"Badge {kind}",
            f"""
trigger: {{topic: wiki.edit}}
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(msg.user)s"]}}
  operation: {json.dumps(operation)}
  condition: {{greater than or equal to: 100}}
""",
        )
        .replace("{", "{{")
        .replace("}", "}}")
    )


def edits(count: int, begin: int = 1, age: float = 3600.0) -> list[PastMessage]:
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    return [
        PastMessage(
            number,
            now - timedelta(seconds=age - number),
            "wiki.edit",
            {"user": "alice", "n": number - begin + 1},
            ("alice",),
        )
        for number in range(begin, begin + count)
    ]


def test_damaged_rows_count_in_the_pass_as_in_a_query(database: Databases, tmp_path: Path) -> None:
    settings = make_settings(database, tmp_path)
    store_message(database, sent("damaged", 70))
    store_damaged_rows(database)
    store_message(database, sent("damaged", 50))
    texts = [
        counting(kind)
        .replace('topics: ["%(topic)s"], ', topics)
        .replace("wiki.edit", "logger.first")
        .replace("['n']", "['user']")
        .replace("> 1", "> 'a'")
        .replace("% 2", "")
        .replace("sum(", "max(")
        for kind in KINDS
        for topics in ("", 'topics: ["%(topic)s"], ')
    ]
    asking = Asking(settings, texts, datetime.now(timezone.utc) + timedelta(hours=1))

    asking.warm()

    message = parse_message(sent("damaged"))
    assert message is not None
    assert asking.compare(message, None) == len(texts) * len(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_first_question_about_somebody_reads_nothing_of_the_past(
    databases: Databases, settings: Settings, kind: str
) -> None:
    _, expected = KINDS[kind]
    asking = Asking(settings, [counting(kind)], datetime.now(timezone.utc))
    history = edits(3)
    Storage(settings).store([*history, replace(history[0], number=4, topic="wiki.upload")])
    past = asking.warm()
    assert (past.done, past.total, past.found) == (4, 4, 1)
    (criterion,) = backend_criteria(asking.rules[0].criteria)
    assert isinstance(criterion, PastMessages)

    message = stored(settings, history[-1])
    with statements(settings.history_url) as sent:
        assert value_of(asking.history, criterion, message, "alice", None) == expected
    assert len(sent) <= 1
    assert not any("count(" in each for each in sent)


def test_pass_counts_the_message_at_the_very_end_of_its_base(
    databases: Databases, settings: Settings
) -> None:
    history = edits(3)
    end = history[1].sent
    asking = Asking(settings, [counting("count")], end + timedelta(seconds=DISTANCE))
    Storage(settings).store(history)

    assert asking.warm().done == 2

    for past in history:
        assert asking.compare(stored(settings, past), None)


def test_count_that_is_newer_than_the_pass_stays(databases: Databases, settings: Settings) -> None:
    asking = Asking(settings, [counting("count")], datetime.now(timezone.utc))
    history, storage = edits(3), Storage(settings)
    storage.store(history)
    past = PastCounts(settings, asking.history, counted_questions(asking.rules))
    parts = past.run()
    next(parts)
    later = edits(2, begin=4)
    storage.store(later)
    message = stored(settings, history[-1])
    asking.compare(message, None)
    for _ in parts:
        pass

    asking.compare(message, None)


def test_pass_over_a_history_that_was_replaced_caches_nothing(
    databases: Databases, settings: Settings
) -> None:
    asking = Asking(settings, [counting("count"), counting("sum")], datetime.now(timezone.utc))
    history = edits(3)
    Storage(settings).store(history)
    past = PastCounts(settings, asking.history, counted_questions(asking.rules))
    parts = past.run()
    next(parts)
    asking.history.forget()
    for _ in parts:
        pass

    assert past.is_outdated
    assert past.found == 0


def test_rule_with_too_many_people_is_counted_when_it_is_asked_for(
    databases: Databases, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_counts, "_MOST_VALUES", 1)
    asking = Asking(settings, [counting("count")], datetime.now(timezone.utc))
    history = [replace(each, users=(f"user{each.number}",)) for each in edits(3)]
    Storage(settings).store(history)

    assert asking.warm().found == 0
    assert asking.compare(stored(settings, history[-1]), None) == 0


def test_rules_that_ask_the_same_have_one_name_and_others_another(
    databases: Databases, settings: Settings
) -> None:
    asking = Asking(settings, [counting("count"), counting("count"), counting("sum")], START)
    names = [question.name for question in counted_questions(asking.rules)]
    assert names[0] == names[1] != names[2]
