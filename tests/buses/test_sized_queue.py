"""What waits in the hub."""

from fedbadges.buses.fedmsg.consumer import SIZE, SizedQueue


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
