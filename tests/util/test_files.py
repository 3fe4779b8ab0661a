"""Files are written as a whole, and for their owner only."""

import stat
from pathlib import Path
from typing import Any

import pytest

from fedbadges.util.files import prepare_directory, write_json


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directory_and_files_are_for_their_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "state"
    prepare_directory(directory)
    write_json(directory / "file", 1)

    assert mode(directory) == 0o700
    assert mode(directory / "file") == 0o600


def test_crash_while_writing_leaves_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "file", 1)

    def crash(*arguments: Any, **others: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedbadges.util.files.json.dump", crash)
    with pytest.raises(KeyboardInterrupt):
        write_json(tmp_path / "file", 2)

    assert (tmp_path / "file").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_failure_to_write_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "in the way").touch()

    assert [write_json(tmp_path / "file", number) for number in range(3)] == [False] * 3

    (line,) = caplog.messages
    assert line.startswith(f"Cannot write a file path={tmp_path / 'file'} error=")


def test_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        prepare_directory(tmp_path / "file" / "state")
