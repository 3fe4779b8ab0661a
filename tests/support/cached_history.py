"""A history whose counts are cached, by a clock that tests move."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.errors import Place
from fedbadges.history.count_cache import CountCache, Region
from fedbadges.history.count_saver import CountSaver
from fedbadges.history.fold_cache import FoldCache
from fedbadges.history.history import History
from fedbadges.messages import Position
from fedbadges.rules.expressions import Expression, Source, parse_expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.parsing import Problems
from fedbadges.rules.past_fields import PAST_FIELDS_KIND, narrowed
from fedbadges.rules.yaml_document import ScalarNode, parse_document
from support.builders import make_message

DISTANCE = 100.0
START = 1_700_000_000.0

_ASSOCIATE = sa.text("INSERT INTO users_messages VALUES (:user, :number, :sent)").bindparams(
    sa.bindparam("sent", type_=sa.DateTime())
)


class Clock:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Past:
    """A history whose counts are cached, by a clock of its own, beside one without a cache.

    Several may have the same database and ``region``.
    """

    def __init__(self, settings: Settings, region: Region | None = None) -> None:
        self.clock = Clock()
        self.url = settings.history_url
        self.settings = settings
        self._region = region
        self.plain = History(replace(settings, keep_counts=False))
        self.begin_process()
        self._numbers = itertools.count()
        #: Row numbers of transactions that are not committed yet.
        self.begun: list[int] = []

    def begin_process(self) -> None:
        """Begins another process, which knows what the file of counts has, if there is one."""
        self.cached = History(self.settings)
        region = self._region or self.cached.counts._region
        self.cached.counts = CountCache(region, DISTANCE, self.clock)
        self.cached.folds = FoldCache(DISTANCE, self.clock, self.cached.kept)
        self.saver = CountSaver(self.settings, self.cached)
        self.saver.step()

    def lose(self, number: float) -> None:
        """Deletes the rows from a number on, as by restoring a backup."""
        with engine(self.url).begin() as connection:
            for table, column in (("users_messages", "msg_id"), ("messages", "id")):
                connection.execute(
                    sa.text(f"DELETE FROM {table} WHERE {column} >= :number"),  # noqa: S608
                    {"number": number},
                )

    def store(
        self, topic: str, user: str, age: float = 0.0, *, begun: int | None = None, **msg: Any
    ) -> Position:
        """Stores a message that was sent ``age`` seconds ago."""
        message = make_message(topic, msg, timestamp=self.clock.now - age)
        sent, number = self.plain.record(message, [user], [])
        if begun is None or not self.begun:
            return sent, number
        earlier = self.begun.pop(begun % len(self.begun))
        with engine(self.url).begin() as connection:
            (user_id,) = connection.execute(
                sa.text("DELETE FROM users_messages WHERE msg_id = :number RETURNING user_id"),
                {"number": number},
            ).scalars()
            connection.execute(
                sa.text("UPDATE messages SET id = :earlier WHERE id = :number"),
                {"earlier": earlier, "number": number},
            )
            connection.execute(_ASSOCIATE, {"user": user_id, "number": earlier, "sent": sent})
        return sent, earlier

    def compare(
        self,
        filled: FilledFilter,
        enough: int | None = None,
        expression: Expression | None = None,
        until: Position | None = None,
        needed: int | None = None,
    ) -> None:
        """Asks both histories."""
        cached = self.cached.count(
            filled, enough, expression=expression, until=until, needed=needed
        )
        plain = self.plain.count(filled, expression=expression, until=until)
        # From one limit on, and below the other, any number will do.
        above = enough is not None and min(cached, plain) >= enough
        below = needed is not None and max(cached, plain) < needed
        assert cached == plain or above or below

    def compare_fold(
        self, filled: FilledFilter, expression: Expression, until: Position | None = None
    ) -> None:
        """Asks both histories."""
        question = (expression, filled, make_message(), until, {})
        assert outcome(self.cached.fold, *question) == outcome(self.plain.fold, *question)

    def begin(self, count: int) -> None:
        """Begins so many transactions, which take row numbers, and stores a message after them."""
        messages = [make_message("logger.other") for _ in range(count + 1)]
        numbers = [int(self.plain.record(message, [], [])[1]) for message in messages]
        with engine(self.url).begin() as connection:
            for number in numbers[:-1]:
                connection.execute(
                    sa.text("DELETE FROM messages WHERE id = :number"), {"number": number}
                )
        self.begun += numbers[:-1]

    def topic(self) -> str:
        """Returns a topic that nobody has used."""
        return f"logger.t{next(self._numbers)}"


def of(topic: str, *users: str, contains: str | None = None) -> FilledFilter:
    lists = {"topics": (f"org.fedoraproject.dev.{topic}",)}
    if users:
        lists["users"] = users
    if contains is not None:
        lists["contains"] = (contains,)
    return FilledFilter(tuple(sorted(lists.items())))


def outcome(compute: Callable[..., Any], *arguments: Any) -> str:
    """Returns a text that differs for results, and errors, that differ."""
    try:
        return repr(compute(*arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def operation(text: str) -> Expression:
    """Returns the expression of an operation, in which templates are allowed."""
    problems = Problems()
    node = parse_document(f"lambda: {json.dumps(text)}".encode(), "rule.yml").get("lambda")
    assert node is not None
    expression = parse_expression(node, "query", problems, templates=True)
    assert expression is not None, problems
    return expression


def passing(text: str, test: Callable[[Any], bool]) -> Expression:
    """Returns an expression that counts the messages that pass a test."""
    source = Source(ScalarNode(Place("", 1, 1), text, text, literal=True), text, names="")
    return Expression(text, "query", (), source, lambda query, _: None, lambda each, _: test(each))


def with_fields(fields: str) -> Expression:
    """Returns the expression that counts past messages with these fields, as in a filter."""
    problems = Problems()
    node = parse_document(f"fields: {fields}".encode(), "rule.yml").get("fields")
    assert node is not None
    wanted = PAST_FIELDS_KIND.read(node, "'fields'", problems)
    assert wanted is not None, problems
    return narrowed(None, wanted)
