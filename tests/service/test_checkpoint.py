"""The checkpoint's file: what is written is read after a restart, and damage is noticed."""

from pathlib import Path

import pytest

from fedbadges.service.checkpoint import Checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    made = Checkpoint(tmp_path)
    made.prepare()
    return made


def test_checkpoint_survives_a_restart(checkpoint: Checkpoint, tmp_path: Path) -> None:
    assert (checkpoint.exists(), checkpoint.read()) == (False, None)

    checkpoint.write(1234.5)

    assert (checkpoint.exists(), Checkpoint(tmp_path).read()) == (True, 1234.5)


def test_checkpoint_is_written_at_most_once_a_second_unless_told_now(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoint.write(1)
    checkpoint.write(2)
    assert Checkpoint(tmp_path).read() == 1

    checkpoint.write(3, now=True)

    assert Checkpoint(tmp_path).read() == 3


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
def test_damaged_checkpoint_is_read_as_zero_and_logged(
    checkpoint: Checkpoint, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "checkpoint"
    path.write_text(content, encoding="utf-8", errors="surrogateescape")

    assert (checkpoint.exists(), checkpoint.read()) == (True, 0)

    (line,) = caplog.messages
    assert line.startswith(f"Cannot read the checkpoint, catching up everything path={path} error=")


def test_without_state_directory_no_checkpoint_is_kept() -> None:
    checkpoint = Checkpoint(None)
    checkpoint.prepare()
    checkpoint.write(5)

    assert (checkpoint.enabled, checkpoint.exists(), checkpoint.read()) == (False, False, None)
