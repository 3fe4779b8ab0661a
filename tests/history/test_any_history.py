"""Cached counts equal uncached ones, whatever happens to messages, processes, files and clocks."""

import datetime
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.builders import make_message, make_rule, make_settings
from support.cached_history import DISTANCE, Past, of, operation, passing, with_fields
from support.databases import Databases
from support.optimisations import needs
from support.sizes import size

from fedbadges.history.count_cache import Region
from fedbadges.history.kept import file as count_file
from fedbadges.history.window.recent_window import RecentWindow
from fedbadges.messages import Position
from fedbadges.replay.past_counts import PastCounts, counted_questions
from fedbadges.rules.aggregates import OF_DAYS, OF_FIELD
from fedbadges.rules.expressions import Expression
from fedbadges.rules.templates import TemplatePath
from fedbadges.util.caching import make_cache_region

#: What is taken of a message: a small number, or whatever somebody may send.
FOLDS = [
    operation(text)
    for text in (
        "len({m.msg['n'] for m in query.all()})",
        "len(set((m.msg['n'], m.timestamp.date(), 'a' * 200) for m in query))",
        "sum(m.msg['n'] / 10 for m in query.all())",
        "sum(m.msg['n'] for m in query.all())",
        "max([m.timestamp for m in query.all() if m.msg['n'] > 2])",
        "min((m.msg['n'] for m in query), default=None)",
        "any(m.msg['n'] == 7 for m in query)",
        "all(1 / (m.msg['n'] - 3) for m in query)",
        "all([m.msg['n'] != 5 for m in query])",
        "len({m.msg['x'] for m in query.all()})",
        "len(set([(m.msg['x'], m.msg['n'] %% 2) for m in query.all()]))",
        "sum(m.msg['x'] for m in query.all())",
        "max(m.msg['x'] for m in query if type(m.msg['x']) in (int, bool, float))",
        "min([m.msg['x'] for m in query])",
        "any(m.msg['x'][0] for m in query)",
        "len([m.msg['x'] + 1 for m in query])",
    )
]
FOLDS += [
    *(aggregate.expression(name) for name, aggregate in OF_DAYS.items()),
    *(
        aggregate.expression(name, TemplatePath(f"msg.{key}"))
        for name, aggregate in OF_FIELD.items()
        for key in "nx"
    ),
]
ODD = passing("odd", lambda message: message.msg["n"] % 2 == 1)
FIELDS = with_fields("{msg.n: {greater than: 2}, msg.x: {not: {any: [a, {length: 1}]}}}")

#: What the pass over the past counts.
ASKED_ABOUT_ALL = [
    (["users"], "count"),
    (["users"], {"lambda": FOLDS[0].text}),
    (["users"], {"lambda": FOLDS[3].text}),
    ([], {"lambda": FOLDS[0].text}),
    ([], {"lambda": FOLDS[11].text}),
    (["users"], "longest streak of days"),
    ([], {"sum": "msg.n"}),
    ([], "count"),
    (["users"], "count", {"fields": {"msg.n": {"greater than": 2}, "msg.x": {"is not": None}}}),
    ([], "count", {"fields": {"msg.x": {"any": [1, "a", {"length": 1}]}}}),
]

values = st.integers(0, 3) | st.sampled_from(
    [
        *(None, True, False, 1.0, -0.0, 0.1, 0.2, 1e300, float("nan"), float("inf"), 10**30),
        *("", "a", "A", "a" * 300, "ä", "\ud800", [], ["a"], [[1]], {"a": 1}, {"digest": "00"}),
    ]
)
#: Often at the very end of a base, or at the same time as another message.
ages = (
    st.sampled_from([0.0, DISTANCE, 2 * DISTANCE, 20 * DISTANCE])
    | st.floats(0, DISTANCE - 1)
    | st.floats(0, 20 * DISTANCE)
)
users = st.sampled_from([(), ("ann",), ("ann",), ("ann", "bea")])
until = st.none() | st.integers(0, 30)

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("store"),
            st.sampled_from(["ann", "bea"]),
            ages,
            st.integers(0, 9),
            values,
            # Which of the numbers of transactions that are not committed it has, if any.
            st.none() | st.integers(0, 3),
        ),
        st.tuples(st.just("begin"), st.integers(1, 3)),
        # Clocks step back, too.
        st.tuples(st.just("pass"), ages | st.floats(-20 * DISTANCE, 0)),
        st.tuples(
            st.just("ask"),
            users,
            # What the content has.
            st.sampled_from([None, None, None, '"n"', '"n": 3']),
            st.sampled_from([None, None, 1, 2, 3, 50]),
            st.sampled_from([None, None, ODD, FIELDS]),
            until,
            st.sampled_from([None, 1, 2, 3, 50]),
        ),
        st.tuples(st.just("fold"), st.sampled_from(range(len(FOLDS))), users, until),
        # For a message of the time of another, so that the window reaches back to that.
        st.tuples(st.just("look"), until),
        st.tuples(st.just("lose the window")),
        st.tuples(st.just("connect anew")),
        st.tuples(st.just("another daemon")),
        st.tuples(st.just("count the past"), st.integers(0, 12)),
        st.tuples(st.just("save")),
        # Whether what is new is written before.
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("damage"), st.integers(0, 2**20), st.integers(0, 255)),
        st.tuples(st.just("copy the file")),
        st.tuples(st.just("put the copy back")),
        # Up to which of the messages the backup goes, how many are stored before the daemons notice
        # that it was restored, and whether they run meanwhile.
        st.tuples(st.just("restore"), st.integers(0, 30), st.integers(0, 5), st.booleans()),
    ),
    max_size=25,
)


class Daemon(Past):
    """One of several daemons, with a state directory of its own."""

    def __init__(
        self, databases: Databases, directory: Path, region: Region | None, begun: list[int]
    ) -> None:
        keys: dict[str, Any] = {"state_directory": str(directory)}
        if region is not None:
            keys["cache"] = {"backend": "dogpile.cache.memory"}
        self.directory = directory
        self.copy = directory.with_name(f"{directory.name} copy")
        for each in (directory, self.copy):
            shutil.rmtree(each, ignore_errors=True)
        directory.mkdir(parents=True)
        super().__init__(make_settings(databases, directory.parent, **keys), region)
        self.begun = begun

    def begin_process(self) -> None:
        super().begin_process()
        self._counting: Iterator[None] = iter(())

    def restart(self) -> None:
        """Kills the process, and begins another."""
        self._kill()
        self.begin_process()

    def _kill(self) -> None:
        """Leaves the files as they are now; a process that ends by itself would tidy them up."""
        file = self.saver._file
        if file is not None:
            left = self.directory.with_name(f"{self.directory.name} left")
            shutil.copytree(self.directory, left)
            file.close()
            shutil.rmtree(self.directory)
            left.rename(self.directory)

    def count_the_past(self, topic: str, parts: int) -> None:
        """Begins a pass over the past, or goes on with it, for so many parts of the work."""
        for _ in range(parts):
            if next(self._counting, self) is self:
                self._counting = PastCounts(
                    self.settings, self.cached, counted_questions(self._rules(topic))
                ).run()

    def _rules(self, topic: str) -> Iterator[Any]:
        for number, (keys, asked, *more) in enumerate(ASKED_ABOUT_ALL):
            chosen: dict[str, Any] = {"topics": ["%(topic)s"]}
            chosen |= {key: ["%(msg.user)s"] for key in keys} | (more[0] if more else {})
            criteria = {"filter": chosen, "operation": asked, "condition": {"equal to": 1}}
            body = f"trigger: {{topic: {topic}}}\ncriteria: {json.dumps(criteria)}"
            yield make_rule(self.settings, f"Badge {number}", body)

    def damage(self, place: int, change: int) -> None:
        """Changes a byte of the file of counts, or cuts off the rest, while no process runs."""
        self._kill()
        path = self.directory / count_file.NAME
        content = bytearray(path.read_bytes() if path.exists() else b"\0")
        place %= len(content) or 1
        if change and content:
            content[place] ^= change
        else:
            del content[place:]
        path.write_bytes(content)
        self.begin_process()

    def copy_file(self) -> None:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.directory, self.copy)

    def put_copy_back(self) -> None:
        if self.copy.exists():
            self._kill()
            shutil.rmtree(self.directory)
            shutil.copytree(self.copy, self.directory)
            self.begin_process()


class Steps:
    """Takes steps with a history of its own topic, which two daemons share."""

    def __init__(self, databases: Databases, directory: Path, *, share_counts: bool) -> None:
        self.region = make_cache_region("dogpile.cache.memory_pickle", {}) if share_counts else None
        begun: list[int] = []
        self.daemons = [
            Daemon(databases, directory / name, self.region, begun) for name in ("one", "two")
        ]
        self.topic = f"logger.{directory.name}"
        self.positions: list[Position] = []

    def position(self, index: int | None) -> Position | None:
        if not self.positions or index is None:
            return None
        return self.positions[index % len(self.positions)]

    def take(self, step: str, *about: Any) -> None:
        past = self.daemons[0]
        cached = past.cached
        if step == "store":
            user, age, number, value, begun = about
            msg = {"n": number, "x": value}
            self.positions.append(past.store(self.topic, user, age, begun=begun, **msg))
        elif step == "begin":
            past.begin(*about)
        elif step == "pass":
            past.clock.now += about[0]
        elif step == "look":
            found = self.position(about[0])
            sent = (
                {}
                if found is None
                else {"timestamp": found[0].replace(tzinfo=datetime.timezone.utc).timestamp()}
            )
            cached.positions([make_message(**sent)])
        elif step == "lose the window":
            cached.window = RecentWindow(DISTANCE)
        elif step == "connect anew":
            cached.window._known = f"another {cached.window._known}"
        elif step == "ask":
            names, text, enough, tested, index, needed = about
            question = of(self.topic, *names, contains=text)
            past.compare(question, enough, tested, self.position(index), needed)
        elif step == "fold":
            number, names, index = about
            past.compare_fold(of(self.topic, *names), FOLDS[number], self.position(index))
        else:
            self.take_with_process(step, *about)

    def take_with_process(self, step: str, *about: Any) -> None:
        past = self.daemons[0]
        if step == "another daemon":
            self.daemons.reverse()
        elif step == "count the past":
            past.count_the_past(self.topic, *about)
        elif step == "save":
            past.saver.step()
        elif step == "restart":
            if about[0]:
                past.saver.step()
            past.restart()
        elif step == "damage":
            past.damage(*about)
        elif step == "copy the file":
            past.copy_file()
        elif step == "put the copy back":
            past.put_copy_back()
        elif step == "restore":
            self.restore(*about)

    def restore(self, index: int, stored: int, runs: bool) -> None:
        position = self.position(index)
        if position is None:
            return
        past = self.daemons[0]
        past.lose(position[1])
        self.positions = [each for each in self.positions if each[1] < position[1]]
        past.begun[:] = [each for each in past.begun if each < position[1]]
        for _ in range(stored):
            self.take("store", "bea", 2 * DISTANCE, 1, 1, None)
        if self.region is not None:  # as docs/operations.rst says
            self.region.backend._cache.clear()  # type: ignore[attr-defined]
        for each in self.daemons:
            if runs:  # and a sweep notices it
                each.cached.forget()
            else:
                each.restart()

    def check(self, number: int, fold: Expression) -> None:
        """Compare what a daemon finds after so many steps with the truth."""
        past = self.daemons[0]
        past.compare(of(self.topic, "ann"))
        past.compare(of(self.topic, "ann"), enough=number % 4 + 1)
        past.compare_fold(of(self.topic), fold)
        if self.positions:
            past.compare(of(self.topic), until=self.positions[-1])


@needs("keep_counts")
@pytest.mark.thorough
@given(
    history=steps, fold=st.sampled_from(FOLDS), share_counts=st.sampled_from((False, False, True))
)
@examples(
    max_examples=size(15, 200),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_cached_counts_equal_uncached_ones(
    database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
    history: list[tuple[Any, ...]],
    fold: Expression,
    share_counts: bool,
) -> None:
    """Of two daemons, whose clocks differ, and that have files of their own or share a region."""
    directory = tmp_path_factory.mktemp("state")
    taken = Steps(database, directory, share_counts=share_counts)
    for number, step in enumerate([*history, ("another daemon",)]):
        taken.take(*step)
        taken.check(number, fold)
    shutil.rmtree(directory)
