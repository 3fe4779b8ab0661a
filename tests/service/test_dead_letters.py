"""Messages that failed for good are kept in files, within limits, until they are handled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message

from fedbadges.messages import Message
from fedbadges.service.state.dead_letters import DeadLetters

ERROR = ValueError("bad")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "failed"


@pytest.fixture
def dead_letters(tmp_path: Path) -> DeadLetters:
    made = DeadLetters(tmp_path)
    made.prepare()
    return made


def bodies(dead_letters: DeadLetters) -> list[Mapping[str, Any]]:
    """Returns the messages that a retry hands over."""
    found = []

    def fail(message: Message) -> None:
        found.append(message.body)
        raise ERROR

    dead_letters.retry(fail)
    return found


def test_failed_message_is_kept_with_its_error(dead_letters: DeadLetters) -> None:
    message = make_message("git.receive", {"user": "alice"})

    path = dead_letters.add(message, ValueError("bad\nline"))

    assert path is not None
    assert json.loads(path.read_text())["error"] == repr(ValueError("bad\nline"))
    assert bodies(dead_letters) == [message.body]


def test_message_that_fails_twice_is_kept_in_one_file(dead_letters: DeadLetters) -> None:
    message = make_message()

    assert dead_letters.add(message, ValueError("a")) == dead_letters.add(message, ERROR)

    assert dead_letters.count() == 1


def test_messages_without_an_id_are_all_kept_oldest_first(dead_letters: DeadLetters) -> None:
    for number in range(3):
        body = make_message(msg={"n": number}, msg_id=None).body
        dead_letters.add(Message("a.topic", body, 0.0), ERROR)

    assert sorted(body["msg"]["n"] for body in bodies(dead_letters)) == [0, 1, 2]


@pytest.mark.parametrize(("limit", "value"), [("MAX_COUNT", 3), ("MAX_BYTES", 1_600)])
def test_no_more_is_kept_than_the_limits_allow(
    dead_letters: DeadLetters,
    directory: Path,
    limit: str,
    value: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(f"fedbadges.service.state.dead_letters.{limit}", value)
    messages = [make_message(msg={"text": "x" * 500}) for _ in range(6)]

    kept = [dead_letters.add(message, ERROR) for message in messages]

    assert [path is not None for path in kept] == [True] * 3 + [False] * 3
    # What is there already may fail with something else.
    assert dead_letters.add(messages[0], ValueError("worse")) == kept[0]
    full = [line for line in caplog.messages if not line.startswith("Message failed")]
    assert full == [f"No room for more dead letters path={directory}"]


@pytest.mark.parametrize("msg_id", ["../../escaped", "a/b", "\x00", "\ud800", "x" * 10_000, None])
def test_message_id_does_not_choose_the_path(
    dead_letters: DeadLetters, directory: Path, msg_id: Any
) -> None:
    path = dead_letters.add(make_message(msg_id=msg_id), ERROR)

    assert path is not None
    assert path.parent == directory


def test_handled_dead_letter_is_deleted_and_failed_one_is_kept(dead_letters: DeadLetters) -> None:
    good, bad = make_message(), make_message()
    good_path, bad_path = (dead_letters.add(message, ERROR) for message in (good, bad))
    assert good_path
    assert bad_path

    def handle(message: Message) -> None:
        if message.body == bad.body:
            raise ERROR

    assert dead_letters.retry(handle) == [(bad_path, repr(ERROR))]
    assert (good_path.exists(), bad_path.exists()) == (False, True)


def test_damaged_files_are_reported_kept_and_do_not_hide_others(
    dead_letters: DeadLetters, directory: Path
) -> None:
    for name, content in {
        "a": "garbage",
        "b": '{"message": 5}',
        "c": '{"message": {"msg": {}}}',
    }.items():
        (directory / f"{name}.json").write_text(content)
    dead_letters.add(make_message(), ERROR)

    failed = dead_letters.retry(lambda message: None)

    why = {path.name: problem for path, problem in failed}
    assert sorted(why) == ["a.json", "b.json", "c.json"]
    assert "Expecting value" in why["a.json"]
    assert why["c.json"] == "it is no message with a topic"
    assert sorted(path.name for path in directory.iterdir()) == sorted(why)


def test_count_ignores_files_that_are_half_written(
    dead_letters: DeadLetters, directory: Path
) -> None:
    assert dead_letters.count() == 0
    dead_letters.add(make_message(), ERROR)
    dead_letters.add(make_message(), ERROR)
    (directory / ".half-written.new").touch()

    assert dead_letters.count() == 2


def test_count_is_unknown_without_a_readable_directory(tmp_path: Path) -> None:
    assert DeadLetters(None).count() is None
    assert DeadLetters(tmp_path / "nowhere").count() is None


def test_without_state_directory_no_dead_letter_is_kept() -> None:
    dead_letters = DeadLetters(None)
    dead_letters.prepare()

    assert not dead_letters.enabled
    assert dead_letters.add(make_message(), ERROR) is None
    assert dead_letters.retry(pytest.fail) == []
