"""The checkpoint: its file, and how it follows what is done."""

import json
import math
from pathlib import Path

import pytest
from support.builders import make_message

from fedbadges.messages import Message
from fedbadges.service.in_flight import InFlight
from fedbadges.service.state.checkpoint import Checkpoint

NOW = 1_800_000_000.0
MARGIN = 600.0
LIMIT = 3_600.0


class Clock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class CheckpointFile:
    """The file of a checkpoint, as another process sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, until: float) -> None:
        self.path.write_text(json.dumps({"until": until}))

    def read(self) -> float | None:
        return float(json.loads(self.path.read_text())["until"]) if self.path.exists() else None


@pytest.fixture
def file(tmp_path: Path) -> CheckpointFile:
    return CheckpointFile(tmp_path / "checkpoint")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight()


@pytest.fixture
def checkpoint(tmp_path: Path, in_flight: InFlight, clock: Clock) -> Checkpoint:
    return Checkpoint(tmp_path, in_flight, margin=MARGIN, limit=LIMIT, clock=clock)


def start(checkpoint: Checkpoint) -> None:
    checkpoint.read_from()
    checkpoint.start()


def sent_at(seconds: float) -> Message:
    return make_message(timestamp=seconds)


def test_checkpoint_survives_a_restart(checkpoint: Checkpoint, file: CheckpointFile) -> None:
    assert checkpoint.read() is None
    start(checkpoint)

    checkpoint.write(now=True)

    assert checkpoint.read() == file.read() == NOW


def test_checkpoint_is_written_at_most_once_a_second_unless_told_now(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    start(checkpoint)
    checkpoint.swept(NOW + 1, in_flight=False)
    checkpoint.swept(NOW + 2, in_flight=False)
    assert file.read() == NOW + 1

    checkpoint.write(now=True)

    assert file.read() == NOW + 2


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

    assert checkpoint.read() == 0

    (line,) = caplog.messages
    assert line.startswith(f"Cannot read the checkpoint, catching up everything path={path} error=")


def test_without_state_directory_no_checkpoint_is_kept(in_flight: InFlight) -> None:
    checkpoint = Checkpoint(None, in_flight, margin=MARGIN, limit=LIMIT)
    checkpoint.prepare()
    checkpoint.create()
    start(checkpoint)
    checkpoint.write(now=True)

    assert checkpoint.read() is None


def test_first_checkpoint_is_when_the_daemon_was_made(
    checkpoint: Checkpoint, file: CheckpointFile, clock: Clock
) -> None:
    """So that nothing is lost that was shed while the databases did not answer."""
    clock.now += 100

    checkpoint.create()

    assert (file.read(), checkpoint.read_from()) == (NOW, NOW - MARGIN)


def test_checkpoint_that_exists_is_not_replaced_by_a_first_one(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    file.write(NOW - 50)

    checkpoint.create()

    assert file.read() == NOW - 50


def test_history_is_read_from_a_margin_before_the_checkpoint(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    file.write(NOW - 50)

    assert checkpoint.read_from() == NOW - 50 - MARGIN


def test_without_state_directory_the_history_is_read_from_when_the_daemon_was_made(
    in_flight: InFlight, clock: Clock
) -> None:
    checkpoint = Checkpoint(None, in_flight, margin=MARGIN, limit=LIMIT, clock=clock)
    clock.now += 100

    assert checkpoint.read_from() == NOW - MARGIN


def test_checkpoint_beyond_the_limit_is_logged_and_not_followed(
    checkpoint: Checkpoint, file: CheckpointFile, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(NOW - LIMIT - 1)

    assert checkpoint.read_from() == NOW - LIMIT - MARGIN

    (line,) = caplog.messages
    assert line.startswith("Not catching up messages beyond the limit since=")
    assert line.endswith(" catchup_limit=3600")


@pytest.mark.parametrize("content", ["", '{"until": 9e99}', f'{{"until": {NOW + 100}}}'])
def test_checkpoint_that_is_damaged_or_in_the_future_means_reading_up_to_the_limit(
    checkpoint: Checkpoint,
    file: CheckpointFile,
    tmp_path: Path,
    content: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "checkpoint").write_text(content)

    assert checkpoint.read_from() == NOW - LIMIT - MARGIN

    (line,) = caplog.messages
    assert "checkpoint" in line
    assert "catching up everything" in line
    checkpoint.start()
    checkpoint.write(now=True)
    assert file.read() == NOW - LIMIT


def test_clock_that_was_set_back_a_little_does_not_spoil_the_checkpoint(
    checkpoint: Checkpoint, file: CheckpointFile, caplog: pytest.LogCaptureFixture
) -> None:
    file.write(NOW + 50)

    assert checkpoint.read_from() == NOW - MARGIN
    assert caplog.messages == []


def test_nothing_is_known_or_written_before_catching_up_starts(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    """Else a stop before the start would pass what the last process left."""
    file.write(NOW - 2 * LIMIT)
    checkpoint.read_from()

    checkpoint.write(now=True)

    assert (checkpoint.until, file.read()) == (None, NOW - 2 * LIMIT)


def test_checkpoint_follows_the_pass_at_a_margin(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    file.write(NOW - 3_000)
    start(checkpoint)

    checkpoint.reached(NOW - 1_000)
    checkpoint.write(now=True)

    assert checkpoint.until == file.read() == NOW - 1_000 - MARGIN


def test_checkpoint_does_not_go_back_when_the_pass_begins_before_it(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    """Else it would go back further at each of several starts in a row."""
    file.write(NOW - 50)
    start(checkpoint)

    checkpoint.reached(NOW - 50 - MARGIN)

    assert checkpoint.until == NOW - 50


@pytest.mark.parametrize("sent", [NOW + 5_000, math.inf])
def test_message_from_the_future_does_not_take_the_checkpoint_there(
    checkpoint: Checkpoint, file: CheckpointFile, sent: float
) -> None:
    file.write(NOW - 3_000)
    start(checkpoint)

    checkpoint.reached(sent)

    assert checkpoint.until == NOW - MARGIN


def test_sweep_takes_the_checkpoint_to_when_it_began(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    start(checkpoint)

    checkpoint.swept(NOW + 7, in_flight=False)

    assert file.read() == NOW + 7


def test_checkpoint_does_not_pass_messages_in_flight(
    checkpoint: Checkpoint, in_flight: InFlight, file: CheckpointFile
) -> None:
    start(checkpoint)
    message = sent_at(NOW - 5)
    in_flight.begin(message)

    checkpoint.swept(NOW, in_flight=True)
    assert checkpoint.until == file.read() == NOW - 5

    in_flight.done(message)
    assert checkpoint.until == NOW


def test_checkpoint_does_not_pass_messages_that_come_while_it_is_written(
    checkpoint: Checkpoint,
    file: CheckpointFile,
    in_flight: InFlight,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start(checkpoint)
    oldest_sent = in_flight.oldest_sent

    def catch_up_meanwhile() -> float | None:
        oldest = oldest_sent()
        monkeypatch.undo()
        in_flight.begin(sent_at(NOW + 50))
        clock.now = NOW + 100
        checkpoint.swept(NOW + 100, in_flight=True)
        return oldest

    monkeypatch.setattr(in_flight, "oldest_sent", catch_up_meanwhile)
    checkpoint.write(now=True)

    until = file.read()
    assert until is not None
    assert until <= NOW + 50


def test_checkpoint_does_not_pass_messages_left_for_the_restart(
    checkpoint: Checkpoint, in_flight: InFlight
) -> None:
    start(checkpoint)
    message = sent_at(NOW - 5)
    in_flight.begin(message)
    in_flight.leave_for_restart(message)

    checkpoint.swept(NOW + LIMIT, in_flight=False)

    assert checkpoint.until == NOW - 5


def test_checkpoint_waits_for_requeued_messages_until_a_sweep_must_have_found_them(
    checkpoint: Checkpoint, in_flight: InFlight
) -> None:
    start(checkpoint)
    message = sent_at(NOW)
    in_flight.begin(message)
    in_flight.requeue(message)

    checkpoint.swept(NOW + MARGIN, in_flight=False)
    assert checkpoint.until == NOW
    # A copy may be in flight: then the sweep passed the message over.
    checkpoint.swept(NOW + MARGIN + 1, in_flight=True)
    assert checkpoint.until == NOW

    checkpoint.swept(NOW + MARGIN + 1, in_flight=False)
    assert checkpoint.until == NOW + MARGIN + 1


def test_message_older_than_1970_leaves_a_checkpoint_that_can_be_read(
    checkpoint: Checkpoint,
    in_flight: InFlight,
    file: CheckpointFile,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start(checkpoint)
    in_flight.begin(sent_at(-1e9))

    checkpoint.write(now=True)

    assert file.read() == 0
    assert caplog.messages == []


def test_row_number_is_written_beside_the_time_and_read_again(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    start(checkpoint)
    checkpoint.passed(7)
    checkpoint.write(now=True)
    assert json.loads(file.path.read_text()) == {"until": NOW, "number": 7}

    checkpoint.number = None
    checkpoint.read_from()

    assert checkpoint.number == 7


def test_checkpoint_without_a_number_has_none(checkpoint: Checkpoint, file: CheckpointFile) -> None:
    file.write(NOW - 50)

    checkpoint.read_from()

    assert (checkpoint.number, checkpoint.is_limited) == (None, False)


@pytest.mark.parametrize("number", ["-1", "true", '"7"', "7.0", "[]"])
def test_checkpoint_with_a_damaged_number_is_damaged(
    checkpoint: Checkpoint, file: CheckpointFile, number: str
) -> None:
    file.path.write_text(f'{{"until": {NOW}, "number": {number}}}')

    assert checkpoint.read() == 0


def test_row_number_does_not_pass_messages_left_for_the_restart(
    checkpoint: Checkpoint, in_flight: InFlight
) -> None:
    start(checkpoint)
    checkpoint.passed(7)
    message = sent_at(NOW - 5)
    in_flight.begin(message)
    in_flight.leave_for_restart(message)

    checkpoint.swept(NOW, in_flight=False, number=9)

    assert checkpoint.number == 7


def test_row_number_that_is_not_known_leaves_the_one_before(checkpoint: Checkpoint) -> None:
    start(checkpoint)
    checkpoint.passed(7)

    checkpoint.swept(NOW, in_flight=False)

    assert checkpoint.number == 7


def test_limit_says_that_it_holds(checkpoint: Checkpoint, file: CheckpointFile) -> None:
    file.write(NOW - LIMIT - 1)

    checkpoint.read_from()

    assert checkpoint.is_limited


def test_limit_is_not_beyond_what_was_missed_if_our_clock_is_fast(
    checkpoint: Checkpoint, file: CheckpointFile, clock: Clock
) -> None:
    file.write(NOW - 50)
    clock.now += 10 * LIMIT

    assert checkpoint.read_from(last_sent=NOW) == NOW - 50 - MARGIN

    assert not checkpoint.is_limited


def test_message_from_the_future_does_not_shorten_the_limit(
    checkpoint: Checkpoint, file: CheckpointFile
) -> None:
    file.write(NOW - LIMIT + 50)

    assert checkpoint.read_from(last_sent=NOW + 10 * LIMIT) == NOW - LIMIT + 50 - MARGIN
