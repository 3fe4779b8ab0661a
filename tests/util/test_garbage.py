"""Garbage collection that passes over what is loaded."""

import gc
import weakref

from fedbadges.util.garbage import only_new_garbage


class _Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_garbage_that_is_made_meanwhile_is_collected() -> None:
    with only_new_garbage():
        gone = weakref.ref(_Cycle())
        gc.collect()

        assert gone() is None


def test_garbage_of_older_objects_is_collected_afterwards() -> None:
    old = _Cycle()
    gone = weakref.ref(old)

    with only_new_garbage():
        del old
        gc.collect()
        assert gone() is not None

    gc.collect()
    assert gone() is None
