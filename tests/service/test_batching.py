"""When a batch is complete."""

import threading

from fedbadges.service.pipeline import MAX_BATCH, Batcher


def test_item_without_backlog_is_a_batch_of_its_own() -> None:
    batcher: Batcher[int] = Batcher(lambda: 0)

    assert batcher.add(1) == [1]
    assert batcher.add(2) == [2]


def test_items_with_backlog_are_a_batch_with_the_last() -> None:
    backlog = 2
    batcher: Batcher[int] = Batcher(lambda: backlog)
    assert batcher.add(1) == []
    assert batcher.add(2) == []

    backlog = 0

    assert batcher.add(3) == [1, 2, 3]


def test_last_message_without_an_item_completes_the_batch() -> None:
    backlog = 1
    batcher: Batcher[int] = Batcher(lambda: backlog)
    batcher.add(1)

    backlog = 0

    assert batcher.add(None) == [1]


def test_batch_is_complete_at_its_maximum_size() -> None:
    batcher: Batcher[int] = Batcher(lambda: 10_000)

    batches = [batch for number in range(2 * MAX_BATCH + 1) if (batch := batcher.add(number))]

    assert batches == [list(range(MAX_BATCH)), list(range(MAX_BATCH, 2 * MAX_BATCH))]
    assert batcher.flush() == [2 * MAX_BATCH]
    assert batcher.flush() == []


def test_no_item_is_lost_or_doubled_between_threads() -> None:
    batcher: Batcher[int] = Batcher(lambda: 1)
    found: list[int] = []

    def work(start: int) -> None:
        for number in range(start, start + 1000):
            found.extend(batcher.add(number))

    threads = [threading.Thread(target=work, args=[start]) for start in range(0, 4000, 1000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found + batcher.flush()) == list(range(4000))
