"""The lock of the state directory."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from support.daemon_restarts import Start

from fedbadges.errors import CannotStart
from fedbadges.service.state.lock import StateLock

pytestmark = pytest.mark.sqlite


def test_second_lock_is_refused_with_the_process_id_until_the_first_is_released(
    tmp_path: Path,
) -> None:
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    first.acquire()
    first.acquire()

    with pytest.raises(CannotStart, match=f"another daemon .pid {os.getpid()}. uses {tmp_path}"):
        second.acquire()

    first.release()
    second.acquire()
    second.release()


def test_lock_that_another_process_left_is_free(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("4194304\nand more than that")

    StateLock(tmp_path).acquire()

    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_without_a_directory_nothing_is_locked() -> None:
    StateLock(None).acquire()


def test_file_system_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)

    StateLock(tmp_path).acquire()

    (line,) = log.messages
    assert line.startswith(f"Cannot lock the state directory path={tmp_path}/lock error=")


def test_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="lock"):
        StateLock(tmp_path).acquire()

    assert (tmp_path / "elsewhere").read_text() == "mine"


def test_lock_of_another_user_is_refused_while_it_is_held_and_free_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where root has started a daemon by hand: locking takes no right to write."""
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    first.acquire()

    def read_only(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return os_open(path, flags, mode)

    os_open = os.open
    monkeypatch.setattr(os, "open", read_only)

    with pytest.raises(CannotStart, match=f"pid {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    with pytest.raises(CannotStart):
        first.acquire()
    second.release()


def test_daemon_that_stopped_or_could_not_start_holds_no_lock(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start().stop()
    with monkeypatch.context() as broken:
        broken.setattr("fedbadges.service.startup.prepare_databases", lambda *_: 1 / 0)
        with pytest.raises(CannotStart):
            start()

    StateLock(tmp_path / "state").acquire()


def test_daemon_on_a_locked_directory_does_not_start_and_leaves_the_checkpoint(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "checkpoint").write_text('{"until": 5}')
    lock = StateLock(tmp_path / "state")
    lock.acquire()

    with pytest.raises(CannotStart, match="another daemon"):
        start()

    assert (tmp_path / "state" / "checkpoint").read_text() == '{"until": 5}'
    # Retrying dead letters needs no lock.
    assert start(retry=True).retry_dead_letters() == []
    lock.release()
