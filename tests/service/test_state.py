"""What outlives the process."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message

from fedbadges.messages import Message
from fedbadges.service.failures import Failures
from fedbadges.service.in_flight import InFlight
from fedbadges.service.state import StateDirectory


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "deep" / "state")
    made.prepare()
    return made


@pytest.fixture
def directory(state: StateDirectory, tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_noted_is_there_after_a_restart(state: StateDirectory, directory: Path) -> None:
    assert state.checkpoint() is None

    state.note(1234.5)

    assert StateDirectory(directory).checkpoint() == 1234.5


def test_it_is_written_at_most_once_a_second_and_at_the_end(
    state: StateDirectory, directory: Path
) -> None:
    state.note(1)
    state.note(2)
    assert StateDirectory(directory).checkpoint() == 1

    state.note(3, now=True)

    assert StateDirectory(directory).checkpoint() == 3


def test_its_files_are_for_their_owner_only(state: StateDirectory, directory: Path) -> None:
    state.note(1)
    aside = state.set_aside(make_message(), ValueError("bad"))

    assert aside is not None
    assert mode(directory) == mode(directory / "failed") == 0o700
    assert mode(directory / "checkpoint") == mode(aside) == 0o600


def test_a_crash_while_writing_leaves_what_was_there(
    state: StateDirectory, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.note(1)

    def crash(*arguments: Any, **others: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedbadges.service.state.json.dump", crash)
    with pytest.raises(KeyboardInterrupt):
        state.note(2, now=True)

    assert StateDirectory(directory).checkpoint() == 1
    assert sorted(path.name for path in directory.iterdir()) == ["checkpoint", "failed"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        '{"until": "soon"}',
        '{"until": NaN}',
        '{"until": -1}',
        '{"until": 1e999}',
        '{"until": 1' + "0" * 400 + "}",
        "\udcff",
        "{" * 99_999,
        "[" * 99_999,
    ],
)
def test_of_a_checkpoint_that_cannot_be_read_nothing_is_known_to_be_done(
    state: StateDirectory, directory: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "checkpoint").write_text(content, encoding="utf-8", errors="surrogateescape")

    assert state.checkpoint() == 0

    (line,) = caplog.messages
    assert line.startswith(f"{directory / 'checkpoint'} cannot be read")


def test_a_disk_that_is_full_is_said_once(
    state: StateDirectory, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "checkpoint").mkdir()
    (directory / "checkpoint" / "in the way").touch()

    for number in range(3):
        state.note(number, now=True)

    (line,) = caplog.messages
    assert line.startswith(f"{directory / 'checkpoint'} cannot be written")


def test_a_failed_message_is_kept_with_its_error(state: StateDirectory) -> None:
    message = make_message("git.receive", {"user": "alice"})

    path = state.set_aside(message, ValueError("bad\nline"))

    assert path is not None
    content = json.loads(path.read_text())
    assert content["error"] == repr(ValueError("bad\nline"))
    (failed,) = state.failed()
    assert failed.path == path
    assert failed.body == message.body


def test_a_message_that_fails_again_is_kept_once(state: StateDirectory) -> None:
    message = make_message()

    assert state.set_aside(message, ValueError("a")) == state.set_aside(message, ValueError("b"))

    assert len(list(state.failed())) == 1


def test_messages_without_an_id_are_all_kept(state: StateDirectory) -> None:
    bodies = [make_message(msg={"n": number}, msg_id=None).body for number in range(3)]

    for body in bodies:
        state.set_aside(Message("a.topic", body, 0.0), ValueError("bad"))

    assert [failed.body["msg"]["n"] for failed in state.failed() if failed.body] == [0, 1, 2]


@pytest.mark.parametrize("limit", ["MOST_FAILED", "MOST_BYTES"])
def test_not_too_much_is_set_aside(
    state: StateDirectory,
    directory: Path,
    limit: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(f"fedbadges.service.state.{limit}", 3 if limit == "MOST_FAILED" else 1_600)
    messages = [make_message(msg={"text": "x" * 500}) for _ in range(6)]

    kept = [state.set_aside(message, ValueError("bad")) for message in messages]

    assert [path is not None for path in kept] == [True] * 3 + [False] * 3
    # What is there already may fail with something else.
    assert state.set_aside(messages[0], ValueError("worse")) == kept[0]
    (line,) = caplog.messages
    assert line.startswith(f"{directory / 'failed'} is full: ")
    assert mode(directory / "failed") == 0o700


@pytest.mark.parametrize("msg_id", ["../../escaped", "a/b", "\x00", "\ud800", "x" * 10_000, None])
def test_no_message_says_where_it_is_kept(
    state: StateDirectory, directory: Path, msg_id: Any
) -> None:
    path = state.set_aside(make_message(msg_id=msg_id), ValueError("bad"))

    assert path is not None
    assert path.parent == directory / "failed"


def test_a_file_that_is_no_message_does_not_hide_the_others(
    state: StateDirectory, directory: Path
) -> None:
    (directory / "failed" / "a.json").write_text("garbage")
    (directory / "failed" / "b.json").write_text('{"message": 5}')
    path = state.set_aside(make_message(), ValueError("bad"))

    found = {failed.path: failed for failed in state.failed()}
    assert {each.name for each, failed in found.items() if failed.body is None} == {
        "a.json",
        "b.json",
    }
    assert path is not None
    assert found[path].body is not None


def test_a_file_that_is_no_message_fails_again(state: StateDirectory, directory: Path) -> None:
    path = directory / "failed" / "a.json"
    path.write_text("garbage")

    ((again, why),) = Failures(InFlight(), state).retry(pytest.fail)

    assert (again, "Expecting value" in why) == (path, True)
    assert path.exists()


def test_without_a_directory_nothing_is_kept() -> None:
    state = StateDirectory(None)
    state.prepare()
    state.note(5)

    assert not state.kept
    assert state.checkpoint() is None
    assert state.set_aside(make_message(), ValueError("bad")) is None
    assert list(state.failed()) == []


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        StateDirectory(tmp_path / "file" / "state").prepare()


def test_those_that_failed_are_counted(state: StateDirectory, directory: Path) -> None:
    assert state.count_failed() == 0
    state.set_aside(make_message(), ValueError("bad"))
    state.set_aside(make_message(), ValueError("bad"))
    (directory / "failed" / ".half-written.new").touch()

    assert state.count_failed() == 2
    assert StateDirectory(None).count_failed() is None
    assert StateDirectory(directory / "nowhere").count_failed() is None
