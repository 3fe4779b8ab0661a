"""Dictionaries that are bounded."""

from fedbadges.util.caching import BoundedDict


def test_bounded_dictionary_keeps_the_newest() -> None:
    bounded: BoundedDict[int, int] = BoundedDict(100)
    for number in range(1000):
        bounded[number] = number
        assert len(bounded) <= 100

    kept = list(bounded)
    assert len(kept) > 90
    assert kept == list(range(kept[0], 1000))


def test_bounded_dictionary_drops_many_at_once() -> None:
    """Each time it drops any, it passes all those that were dropped before."""
    bounded: BoundedDict[int, None] = BoundedDict(1600)
    shrinks = 0
    for number in range(16_000):
        before = len(bounded)
        bounded[number] = None
        shrinks += len(bounded) <= before

    assert shrinks < 200


def test_bounded_dictionary_may_be_of_one() -> None:
    bounded: BoundedDict[str, int] = BoundedDict(1)
    bounded["old"] = 1
    bounded["new"] = 2

    assert dict(bounded) == {"new": 2}
