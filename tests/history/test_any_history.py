"""Cached counts equal uncached ones, whatever happens to messages, processes and files."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.builders import make_message, make_settings
from support.cached_history import DISTANCE, Past, of, operation, passing
from support.databases import Databases
from support.sizes import size

from fedbadges.history.kept import file as count_file
from fedbadges.history.recent_window import RecentWindow
from fedbadges.messages import Position

FOLDS = [
    operation("len({m.msg['n'] for m in query.all()})"),
    operation("len(set((m.msg['n'], m.timestamp.date(), 'a' * 200) for m in query))"),
    operation("sum(m.msg['n'] / 10 for m in query.all())"),
    operation("sum(m.msg['n'] for m in query.all())"),
    operation("max([m.timestamp for m in query.all() if m.msg['n'] > 2])"),
    operation("any(m.msg['n'] == 7 for m in query)"),
    operation("all(1 / (m.msg['n'] - 3) for m in query)"),
]
ODD = passing("odd", lambda message: message.msg["n"] % 2 == 1)

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("store"),
            st.sampled_from(["ann", "bea"]),
            st.one_of(st.floats(0, DISTANCE - 1), st.floats(0, 20 * DISTANCE)),
            st.integers(0, 9),
            # Which of the numbers of transactions that are not committed it has, if any.
            st.none() | st.integers(0, 3),
        ),
        st.tuples(st.just("begin"), st.integers(1, 3)),
        # Clocks step back, too.
        st.tuples(st.just("pass"), st.floats(0, 3 * DISTANCE) | st.floats(-2 * DISTANCE, 0)),
        st.tuples(
            st.just("ask"),
            st.sampled_from([(), ("ann",), ("ann", "bea")]),
            st.sampled_from([None, None, 1, 2, 3, 50]),
            st.booleans(),
            # Up to which of the messages.
            st.none() | st.integers(0, 30),
            st.sampled_from([None, 1, 2, 3, 50]),
        ),
        st.tuples(
            st.just("fold"),
            st.sampled_from(range(len(FOLDS))),
            st.sampled_from([(), ("ann",)]),
            st.none() | st.integers(0, 30),
        ),
        st.tuples(st.just("look")),
        st.tuples(st.just("lose the window")),
        st.tuples(st.just("connect anew")),
        st.tuples(st.just("save")),
        # Whether what is new is written before.
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("damage"), st.integers(0, 2**20), st.integers(1, 255)),
        st.tuples(st.just("copy the file")),
        st.tuples(st.just("another process")),
        # Up to which of the messages the backup goes, and whether the daemon runs meanwhile.
        st.tuples(st.just("restore"), st.integers(0, 30), st.booleans()),
    ),
    max_size=25,
)


@pytest.fixture
def past(database: Databases, tmp_path: Path) -> Past:
    state = tmp_path / "state"
    state.mkdir()
    return Past(make_settings(database, tmp_path, state_directory=str(state)))


class Steps:
    """Takes steps with a history of its own topic."""

    def __init__(self, past: Past) -> None:
        self.past = past
        self.topic = past.topic()
        self.positions: list[Position] = []
        directory = past.settings.state_directory
        assert directory is not None
        self.directory = directory
        self.copy = directory.with_name("copy")
        for each in (directory, self.copy):
            shutil.rmtree(each, ignore_errors=True)
        directory.mkdir()
        past.begun.clear()
        past.begin_process()

    def position(self, index: int | None) -> Position | None:
        if not self.positions or index is None:
            return None
        return self.positions[index % len(self.positions)]

    def take(self, step: str, *about: Any) -> None:
        past, cached = self.past, self.past.cached
        if step == "store":
            user, age, number, begun = about
            self.positions.append(past.store(self.topic, user, age, begun=begun, n=number))
        elif step == "begin":
            past.begin(*about)
        elif step == "pass":
            past.clock.now += about[0]
        elif step == "look":
            cached.positions([make_message()])
        elif step == "lose the window":
            cached.window = RecentWindow(DISTANCE)
        elif step == "connect anew":
            cached.window._known = f"another {cached.window._known}"
        elif step == "save":
            past.saver.step()
        elif step == "ask":
            users, enough, tested, index, needed = about
            until = self.position(index)
            past.compare(of(self.topic, *users), enough, ODD if tested else None, until, needed)
        elif step == "fold":
            number, users, index = about
            past.compare_fold(of(self.topic, *users), FOLDS[number], self.position(index))
        else:
            self.take_with_file(step, *about)

    def take_with_file(self, step: str, *about: Any) -> None:
        past = self.past
        if step == "restart":
            if about[0]:
                past.saver.step()
            past.begin_process()
        elif step == "damage":
            path = self.directory / count_file.NAME
            if path.exists():
                content = bytearray(path.read_bytes())
                content[about[0] % len(content)] ^= about[1]
                path.write_bytes(content)
                past.begin_process()
        elif step == "copy the file":
            shutil.rmtree(self.copy, ignore_errors=True)
            shutil.copytree(self.directory, self.copy)
        elif step == "another process" and self.copy.exists():
            shutil.rmtree(self.directory)
            shutil.copytree(self.copy, self.directory)
            past.begin_process()
        elif step == "restore":
            self.restore(*about)

    def restore(self, index: int, runs: bool) -> None:
        position = self.position(index)
        if position is None:
            return
        self.past.lose(position[1])
        self.positions = [each for each in self.positions if each[1] < position[1]]
        self.past.begun = [each for each in self.past.begun if each < position[1]]
        if runs:  # and a sweep notices it
            self.past.cached.forget()
        else:
            self.past.begin_process()


@pytest.mark.thorough
@given(history=steps)
@examples(
    max_examples=size(20, 600),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_cached_counts_equal_uncached_ones(past: Past, history: list[tuple[Any, ...]]) -> None:
    taken = Steps(past)
    for step in history:
        taken.take(*step)
        past.compare(of(taken.topic, "ann"))
        past.compare_fold(of(taken.topic), FOLDS[0])
        if taken.positions:
            past.compare(of(taken.topic), until=taken.positions[-1])
