"""The checkpoint: its file, and how it follows what is done."""

import math
from pathlib import Path

import pytest
from support.builders import make_message

from fedbadges.messages import Message
from fedbadges.service.checkpoint import Checkpoint, CheckpointTracker
from fedbadges.service.in_flight import InFlight

NOW = 1_800_000_000.0
MARGIN = 600.0
LIMIT = 3_600.0


class Clock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    made = Checkpoint(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight()


@pytest.fixture
def tracker(checkpoint: Checkpoint, in_flight: InFlight, clock: Clock) -> CheckpointTracker:
    return CheckpointTracker(checkpoint, in_flight, margin=MARGIN, limit=LIMIT, clock=clock)


def start(tracker: CheckpointTracker) -> None:
    tracker.read_from()
    tracker.start()


def sent_at(seconds: float) -> Message:
    return make_message(timestamp=seconds)


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


def test_first_checkpoint_is_when_the_daemon_was_made(
    tracker: CheckpointTracker, checkpoint: Checkpoint, clock: Clock
) -> None:
    """So that nothing is lost that was shed while the databases did not answer."""
    clock.now += 100

    tracker.create()

    assert (checkpoint.read(), tracker.read_from()) == (NOW, NOW - MARGIN)


def test_checkpoint_that_exists_is_not_replaced_by_a_first_one(
    tracker: CheckpointTracker, checkpoint: Checkpoint
) -> None:
    checkpoint.write(NOW - 50)

    tracker.create()

    assert checkpoint.read() == NOW - 50


def test_history_is_read_from_a_margin_before_the_checkpoint(
    tracker: CheckpointTracker, checkpoint: Checkpoint
) -> None:
    checkpoint.write(NOW - 50)

    assert tracker.read_from() == NOW - 50 - MARGIN


def test_without_state_directory_the_history_is_read_from_when_the_daemon_was_made(
    in_flight: InFlight, clock: Clock
) -> None:
    tracker = CheckpointTracker(
        Checkpoint(None), in_flight, margin=MARGIN, limit=LIMIT, clock=clock
    )
    clock.now += 100

    assert tracker.read_from() == NOW - MARGIN


def test_checkpoint_beyond_the_limit_is_logged_and_not_followed(
    tracker: CheckpointTracker, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint.write(NOW - LIMIT - 1)

    assert tracker.read_from() == NOW - LIMIT - MARGIN

    (line,) = caplog.messages
    assert line.startswith("Not catching up messages beyond the limit since=")
    assert line.endswith(" catchup_limit=3600")


@pytest.mark.parametrize("content", ["", '{"until": 9e99}', f'{{"until": {NOW + 100}}}'])
def test_checkpoint_that_is_damaged_or_in_the_future_means_reading_up_to_the_limit(
    tracker: CheckpointTracker,
    checkpoint: Checkpoint,
    tmp_path: Path,
    content: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "checkpoint").write_text(content)

    assert tracker.read_from() == NOW - LIMIT - MARGIN

    (line,) = caplog.messages
    assert "checkpoint" in line
    assert "catching up everything" in line
    tracker.start()
    tracker.write(now=True)
    assert checkpoint.read() == NOW - LIMIT


def test_clock_that_was_set_back_a_little_does_not_spoil_the_checkpoint(
    tracker: CheckpointTracker, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint.write(NOW + 50)

    assert tracker.read_from() == NOW - MARGIN
    assert caplog.messages == []


def test_nothing_is_known_or_written_before_catching_up_starts(
    tracker: CheckpointTracker, checkpoint: Checkpoint
) -> None:
    """Else a stop before the start would pass what the last process left."""
    checkpoint.write(NOW - 2 * LIMIT)
    tracker.read_from()

    tracker.write(now=True)

    assert (tracker.until, checkpoint.read()) == (None, NOW - 2 * LIMIT)


def test_checkpoint_follows_the_pass_at_a_margin(
    tracker: CheckpointTracker, checkpoint: Checkpoint
) -> None:
    checkpoint.write(NOW - 3_000)
    start(tracker)

    tracker.reached(NOW - 1_000)
    tracker.write(now=True)

    assert tracker.until == checkpoint.read() == NOW - 1_000 - MARGIN


def test_checkpoint_does_not_go_back_when_the_pass_begins_before_it(
    tracker: CheckpointTracker, checkpoint: Checkpoint
) -> None:
    """Else it would go back further at each of several starts in a row."""
    checkpoint.write(NOW - 50)
    start(tracker)

    tracker.reached(NOW - 50 - MARGIN)

    assert tracker.until == NOW - 50


@pytest.mark.parametrize("sent", [NOW + 5_000, math.inf])
def test_message_from_the_future_does_not_take_the_checkpoint_there(
    tracker: CheckpointTracker, checkpoint: Checkpoint, sent: float
) -> None:
    checkpoint.write(NOW - 3_000)
    start(tracker)

    tracker.reached(sent)

    assert tracker.until == NOW - MARGIN


def test_sweep_takes_the_checkpoint_to_when_it_began(
    tracker: CheckpointTracker, checkpoint: Checkpoint
) -> None:
    start(tracker)

    tracker.swept(NOW + 7, in_flight=False)

    assert checkpoint.read() == NOW + 7


def test_checkpoint_does_not_pass_messages_in_flight(
    tracker: CheckpointTracker, in_flight: InFlight, checkpoint: Checkpoint
) -> None:
    start(tracker)
    message = sent_at(NOW - 5)
    in_flight.begin(message)

    tracker.swept(NOW, in_flight=True)
    assert tracker.until == checkpoint.read() == NOW - 5

    in_flight.done(message)
    assert tracker.until == NOW


def test_checkpoint_does_not_pass_messages_that_come_while_it_is_written(
    tracker: CheckpointTracker,
    checkpoint: Checkpoint,
    in_flight: InFlight,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start(tracker)
    oldest_sent = in_flight.oldest_sent

    def catch_up_meanwhile() -> float | None:
        oldest = oldest_sent()
        monkeypatch.undo()
        in_flight.begin(sent_at(NOW + 50))
        clock.now = NOW + 100
        tracker.swept(NOW + 100, in_flight=True)
        return oldest

    monkeypatch.setattr(in_flight, "oldest_sent", catch_up_meanwhile)
    tracker.write(now=True)

    until = checkpoint.read()
    assert until is not None
    assert until <= NOW + 50


def test_checkpoint_does_not_pass_messages_left_for_the_restart(
    tracker: CheckpointTracker, in_flight: InFlight
) -> None:
    start(tracker)
    message = sent_at(NOW - 5)
    in_flight.begin(message)
    in_flight.leave_for_restart(message)

    tracker.swept(NOW + LIMIT, in_flight=False)

    assert tracker.until == NOW - 5


def test_checkpoint_waits_for_requeued_messages_until_a_sweep_must_have_found_them(
    tracker: CheckpointTracker, in_flight: InFlight
) -> None:
    start(tracker)
    message = sent_at(NOW)
    in_flight.begin(message)
    in_flight.requeue(message)

    tracker.swept(NOW + MARGIN, in_flight=False)
    assert tracker.until == NOW
    # A copy may be in flight: then the sweep passed the message over.
    tracker.swept(NOW + MARGIN + 1, in_flight=True)
    assert tracker.until == NOW

    tracker.swept(NOW + MARGIN + 1, in_flight=False)
    assert tracker.until == NOW + MARGIN + 1


def test_message_older_than_1970_leaves_a_checkpoint_that_can_be_read(
    tracker: CheckpointTracker,
    in_flight: InFlight,
    checkpoint: Checkpoint,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start(tracker)
    in_flight.begin(sent_at(-1e9))

    tracker.write(now=True)

    assert checkpoint.read() == 0
    assert caplog.messages == []
