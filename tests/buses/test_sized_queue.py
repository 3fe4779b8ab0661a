"""What waits in the hub."""

import json
import tracemalloc

import pytest

from fedbadges.buses.fedmsg.sized_queue import SIZE, SizedQueue, json_size


def test_it_knows_how_large_what_waits_is() -> None:
    backlog = SizedQueue()
    backlog.put({SIZE: 10})
    backlog.put({SIZE: 5})
    assert backlog.size == 15

    assert backlog.get() == {SIZE: 10}
    assert backlog.size == 5


def test_what_has_no_size_counts_as_none() -> None:
    backlog = SizedQueue()
    # The hub asks its workers to end like this.
    for item in ({"topic": "one"}, StopIteration):
        backlog.put(item)
        assert backlog.size == 0
        backlog.get()

    assert backlog.size == 0


@pytest.mark.parametrize("part", ["[]", "{}", '{"a": 1}', "[1, 2]", '"a text that is longer"', "7"])
def test_python_needs_a_few_times_the_size_at_most(part: str) -> None:
    text = f"[{', '.join([part] * 10_000)}]"
    tracemalloc.start()
    parsed = json.loads(text)
    needed, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(parsed) == 10_000
    assert needed < 5 * json_size(text)
