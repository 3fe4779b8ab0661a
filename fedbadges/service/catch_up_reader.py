"""Reading what datanommer has stored, and finding out what of it was not delivered.

There are two ways through the history. The pass from the checkpoint goes by when messages were
sent. A sweep goes by row number, from the rows of the sweeps before: so it finds what was stored
since, whenever that was sent. The first one begins at the checkpoint's row.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fedbadges.history.judgements import Judgements
from fedbadges.history.message_reader import MessageHeader, MessageReader, StoredMessage
from fedbadges.service.in_flight import InFlight, Seen
from fedbadges.signatures.verifier import Verifier
from fedbadges.util.caching import BoundedDict

#: How many headers are read at a time; of a batch, how many rows and how many bytes of JSON it has
#: at most, where it has more than one row.
_PAGE = 500
_MAX_ROWS = 100
_MAX_BYTES = 8_000_000

#: How many rows are remembered that cannot be read, or whose signature is not valid. Trying one
#: again is harmless.
_MAX_REJECTED = 100_000

#: A row number is drawn before the row is committed, so that a row may still appear below others:
#: for so many seconds, and of what was there at the start among so many of the last numbers.
_COMMIT_SECONDS = 60.0
_COMMIT_ROWS = 1000


@dataclass(frozen=True)
class Batch:
    """Rows in the order in which they are read, and the messages of those that must be handled.

    ``in_flight`` has the numbers of those rows that are being handled already. There are no rows
    where messages are only judged again.
    """

    rows: Sequence[MessageHeader]
    missing: Sequence[StoredMessage]
    in_flight: Sequence[int] = ()

    @property
    def new(self) -> int:
        """Return how many messages were not delivered."""
        return len(self.missing) if self.rows else 0


class CatchUpReader:
    """Finds the stored messages that were not delivered, and whose signature is valid.

    Without a ``verifier`` every message is taken to be genuine. Of ``judgements``, those are made
    again that what is read was missing for. ``on_begin`` is called with the last row number when it
    begins. The methods raise Unavailable while a database is away. Not thread-safe.
    """

    def __init__(
        self,
        history: MessageReader,
        in_flight: InFlight,
        verifier: Verifier | None = None,
        clock: Callable[[], float] = time.monotonic,
        judgements: Judgements | None = None,
        on_begin: Callable[[int], object] = lambda number: None,
    ) -> None:
        self._history = history
        self._in_flight = in_flight
        self._verifier = verifier
        self._clock = clock
        self._judgements = judgements
        self._on_begin = on_begin
        # The last rows of sweeps, and when these ended.
        self._marks: list[tuple[float, int]] = []
        # By row number: anybody can give a message the id of another.
        self._rejected: BoundedDict[int, None] = BoundedDict(_MAX_REJECTED)
        # The row numbers of what must be judged again, once all rows are read that it was missing.
        self._outdated: set[int] = set()
        self._start = self._oldest = 0.0
        #: The last row that there was when this began.
        self.last_old_row = 0
        #: The last row that was read.
        self._last: MessageHeader | None = None
        self._done: int | None = None
        #: When the pass from the checkpoint ended, in seconds of ``time.monotonic``.
        self._passed = 0.0

    @property
    def is_whole(self) -> bool:
        """Return True if all is found that was not handled, not only what was handled too early."""
        return not self._in_flight.redelivered

    def begin(self, start: float, number: int | None = None, oldest: float = -math.inf) -> int:
        """Begin anew with what was sent from ``start`` on; return how many messages that are.

        The rows up to ``number`` are done. The first sweep reads those after it as well, if they
        were sent after ``oldest``.
        """
        self._start, self._done, self._oldest = start, number, oldest
        self._last = self._history.last()
        self.last_old_row = 0 if self._last is None else self._last.number
        self._on_begin(self.last_old_row)
        first = max(self.last_old_row - _COMMIT_ROWS, 0) if number is None else number
        self._marks = [(self._clock(), first)]
        return self._history.count_since(start)

    @property
    def number(self) -> int | None:
        """Return the row number up to which all are done, or None if that is not known yet."""
        mark = self._first_mark()
        if self._done is None:
            return mark if mark >= self.last_old_row else None
        return max(mark, self._done)

    def sent_since_start(self) -> Iterator[Batch]:
        """Yield everything that was sent since the start, in the order of sending.

        Sweeps begin with what was stored meanwhile, once it is read to the end.
        """
        for page in self._history.pages_since(self._start, _PAGE):
            yield from self._batches(page, lambda row: True)
        self._passed = time.monotonic()

    def stored_since_last_sweep(self) -> Iterator[Batch]:
        """Yield everything that was stored since the last sweeps, in the order of rows.

        Then what must be judged again, once however many messages were stored late. If it is not
        read to the end, the next sweep begins at the same row.
        """
        last = self._first_mark()
        unsettled: list[int] = []
        while page := self._history.headers_after(last, _PAGE):
            for batch in self._batches(page, self._is_new):
                yield batch
                unsettled += self._unsettled(batch)
            last = page[-1].number
            if self._last is None or last >= self._last.number:
                self._last = page[-1]
            if not unsettled and len(self._marks) == 1 and last <= self._last_settled_row:
                self._marks = [(self._marks[0][0], last)]
        # A message in flight may be requeued, and must then be found by the next sweep.
        self._marks.append((self._clock(), unsettled[0] - 1 if unsettled else last))
        if self._done is None and not self._in_flight.is_stuck(time.monotonic() - self._passed):
            # The pass has handled what is new of these, and no process is to handle the others.
            self._done = self.last_old_row
        yield from self._judged_too_early()

    def last_sent(self) -> float | None:
        """Return when the latest message was sent, as its sender says; None if there is none."""
        return self._history.last_sent()

    def has_gone_back(self, number: int | None = None) -> bool:
        """Return True if rows are gone, as after restoring a backup: their numbers come again.

        Other messages may have the numbers by now. ``number`` is the highest one of another
        process, if that is known.
        """
        if self._last is not None and not self._history.has(self._last):
            return True
        if not number:
            return False
        last = self._history.last()
        return last is None or last.number < number

    def forget(self) -> None:
        """Forget what is known by row numbers, as the history has gone back."""
        self._rejected.clear()
        self._outdated.clear()
        if self._judgements is not None:
            self._judgements.forget()

    def _first_mark(self) -> int:
        """Return the last row below which none can appear any more."""
        old = self._clock() - _COMMIT_SECONDS
        while len(self._marks) > 1 and self._marks[1][0] <= old:
            del self._marks[0]
        return self._marks[0][1]

    @property
    def _last_settled_row(self) -> int:
        """Return the last row below which none could appear any more when this began."""
        return self.last_old_row - _COMMIT_ROWS

    def _is_new(self, row: MessageHeader) -> bool:
        """Return True if neither the pass from the checkpoint nor another process has read it."""
        if not self.is_whole:
            return self._in_flight.was_unstored(row.msg_id, row.topic)
        if row.number > self.last_old_row:
            return True
        if row.sent >= self._start:
            return row.number > self._last_settled_row
        return self._done is not None and row.number > self._done and row.sent >= self._oldest

    def _batches(
        self, page: Iterable[MessageHeader], is_new: Callable[[MessageHeader], bool]
    ) -> Iterator[Batch]:
        for rows in portions(page):
            seen = {row: self._lookup(row) for row in rows if self._is_usable(row)}
            missing = [
                row.number for row, when in seen.items() if when is Seen.NEVER and is_new(row)
            ]
            in_flight = [row.number for row, when in seen.items() if when is Seen.IN_FLIGHT]
            if self._judgements is not None:
                self._outdated.update(self._judgements.outdated(rows))
            yield Batch(rows, self._read(missing), in_flight)

    def _judged_too_early(self) -> Iterator[Batch]:
        while outdated := sorted(self._outdated)[:_PAGE]:
            for rows in portions(self._history.headers(outdated)):
                yield Batch((), self._read([row.number for row in rows]))
            self._outdated.difference_update(outdated)

    def _read(self, numbers: Sequence[int]) -> Sequence[StoredMessage]:
        """Return the messages with these row numbers, but for those that must not be handled."""
        if not numbers:
            return ()
        found = list(verified(self._history.messages(numbers), self._verifier))
        for number in set(numbers).difference(message.number for message in found):
            self._rejected[number] = None
        return found

    def _is_usable(self, row: MessageHeader) -> bool:
        if row.number in self._rejected:
            return False
        if row.damage is not None:
            self._history.skip(row)
            self._rejected[row.number] = None
        return row.damage is None

    def _lookup(self, row: MessageHeader) -> Seen:
        return self._in_flight.lookup(row.msg_id, row.topic, row.number)

    def _unsettled(self, batch: Batch) -> list[int]:
        """Return the rows of a batch that was handled that are not done by now."""
        numbers = {*batch.in_flight, *(message.number for message in batch.missing)}
        return [
            row.number
            for row in batch.rows
            if row.number in numbers and self._lookup(row) is not Seen.LATELY
        ]


def verified(
    messages: Iterable[StoredMessage], verifier: Verifier | None
) -> Iterator[StoredMessage]:
    """Yield the messages whose signature is valid, as they were signed; without a verifier, all."""
    for message in messages:
        if verifier is None or message.checked:
            yield message
            continue
        body = verifier.verify_stored(message.body, message.credentials)
        if body is not None:
            yield message._replace(body=dict(body))


def portions(headers: Iterable[MessageHeader]) -> Iterator[list[MessageHeader]]:
    """Yield as many rows at a time as may be in memory at a time."""
    portion: list[MessageHeader] = []
    size = 0
    for header in headers:
        size += header.size
        if portion and (len(portion) == _MAX_ROWS or size > _MAX_BYTES):
            yield portion
            portion, size = [], header.size
        portion.append(header)
    if portion:
        yield portion
