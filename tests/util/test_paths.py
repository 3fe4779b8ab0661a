"""Dotted paths of messages, however large, deep or odd these are."""

import pytest

from fedbadges.util.paths import nearest_path, paths_of


def test_paths_of_nested_mappings_and_of_the_first_item_of_a_list() -> None:
    body = {"topic": "a.b", "msg": {"update": {"user": {"name": "alice"}}, "tags": [{"id": 1}, 2]}}

    assert paths_of(body) == {
        "topic",
        "msg",
        "msg.update",
        "msg.update.user",
        "msg.update.user.name",
        "msg.tags",
        "msg.tags.0",
        "msg.tags.0.id",
    }


def test_paths_of_a_message_with_very_many_keys_are_those_near_the_top() -> None:
    body = {"msg": {str(number): {"deep": 1} for number in range(100_000)}, "topic": "a"}

    paths = paths_of(body)

    assert {"msg", "topic"} <= paths
    assert len(paths) == 300


def test_paths_of_a_very_deep_message_end() -> None:
    body: dict = {}
    for _ in range(100_000):
        body = {"a": body}

    assert max(path.count(".") for path in paths_of(body)) == 7


def test_paths_leave_out_very_long_and_empty_keys() -> None:
    assert paths_of({"x" * 10_000_000: 1, "": 2, "msg": {"y" * 98: 1}}) == {"msg"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("msg.usr", "msg.user"),
        ("msg.user.name", "msg.user"),
        ("msg.package", "msg.packages"),
        ("something else", None),
    ],
)
def test_nearest_path_is_the_most_similar_one(path: str, expected: str | None) -> None:
    assert nearest_path(path, frozenset(["topic", "msg", "msg.user", "msg.packages"])) == expected


def test_nearest_path_of_none_is_none() -> None:
    assert nearest_path("msg.user", frozenset()) is None
