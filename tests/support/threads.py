"""Several things done at the same moment."""

import threading
from collections.abc import Callable
from typing import Any


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """Does each in a thread of its own, all at once; returns what each gave or raised."""
    got: list[Any] = [None] * len(tasks)
    start = threading.Barrier(len(tasks))

    def work(number: int, task: Callable[[], Any]) -> None:
        start.wait()
        try:
            got[number] = task()
        except Exception as error:
            got[number] = error

    threads = [threading.Thread(target=work, args=each) for each in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got
