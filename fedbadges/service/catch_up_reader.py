"""Reading what datanommer has stored, and finding out what of it was not delivered.

There are two ways through the history. The pass from the checkpoint goes by when messages were
sent. A sweep goes by row number, from the rows of the sweeps before: so it finds what was stored
since, whenever that was sent.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fedbadges.history.message_reader import MessageHeader, MessageReader, StoredMessage
from fedbadges.service.in_flight import InFlight, Seen
from fedbadges.signatures.verifier import Verifier
from fedbadges.util.caching import BoundedDict

#: How many headers are read at a time; of a batch, how many rows and how many bytes of JSON it has
#: at most, where it has more than one row.
_PAGE = 500
_MAX_ROWS = 100
_MAX_BYTES = 8_000_000

#: How many rows are remembered whose signature is not valid. Verifying one again is harmless.
_MAX_REJECTED = 100_000

#: A row number is drawn before the row is committed, so that a row may still appear below others:
#: for so many seconds, and of what was there at the start among so many of the last numbers.
_COMMIT_SECONDS = 60.0
_COMMIT_ROWS = 1000


@dataclass(frozen=True)
class Batch:
    """Rows in the order in which they are read, and the messages of those that must be handled.

    ``in_flight`` has the numbers of those rows that are being handled already.
    """

    rows: Sequence[MessageHeader]
    missing: Sequence[StoredMessage]
    in_flight: Sequence[int]


class CatchUpReader:
    """Finds the stored messages that were not delivered, and whose signature is valid.

    Without a ``verifier`` every message is taken to be genuine. The methods raise Unavailable while
    the database is away. Not thread-safe.
    """

    def __init__(
        self,
        history: MessageReader,
        in_flight: InFlight,
        verifier: Verifier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._history = history
        self._in_flight = in_flight
        self._verifier = verifier
        self._clock = clock
        # The last rows of sweeps, and when these ended.
        self._marks: list[tuple[float, int]] = []
        # By row number: anybody can give a message the id of another.
        self._rejected: BoundedDict[int, None] = BoundedDict(_MAX_REJECTED)
        self._start = 0.0
        self._last_old_row = 0

    def begin(self, start: float) -> int:
        """Begin anew with what was sent from ``start`` on; return how many messages that are."""
        self._start = start
        self._last_old_row = self._history.last_number()
        return self._history.count_since(start)

    def sent_since_start(self) -> Iterator[Batch]:
        """Yield everything that was sent since the start, in the order of sending.

        Sweeps begin with what was stored meanwhile, once it is read to the end.
        """
        sent, number = self._start, 0
        while page := self._history.headers_since(sent, number, _PAGE):
            yield from self._batches(page)
            sent, number = page[-1].sent, page[-1].number
        self._marks = [(self._clock(), max(self._last_old_row - _COMMIT_ROWS, 0))]

    def stored_since_last_sweep(self) -> Iterator[Batch]:
        """Yield everything that was stored since the last sweeps, in the order of rows.

        If it is not read to the end, the next sweep begins at the same row.
        """
        last = self._first_mark()
        in_flight: list[int] = []
        while page := self._history.headers_after(last, _PAGE):
            for batch in self._batches(page):
                in_flight += batch.in_flight
                yield batch
            last = page[-1].number
        # A message in flight may be requeued, and must then be found by the next sweep.
        self._marks.append((self._clock(), in_flight[0] - 1 if in_flight else last))

    def has_gone_back(self) -> bool:
        """Return True if rows are gone, as after restoring a backup: their numbers come again."""
        return self._history.last_number() < self._first_mark()

    def _first_mark(self) -> int:
        """Return the last row below which none can appear any more."""
        old = self._clock() - _COMMIT_SECONDS
        while len(self._marks) > 1 and self._marks[1][0] <= old:
            del self._marks[0]
        return self._marks[0][1]

    def _batches(self, page: Iterable[MessageHeader]) -> Iterator[Batch]:
        for rows in _portions(page):
            seen = {
                row.number: self._in_flight.lookup(row.msg_id, row.topic)
                for row in rows
                if row.number > self._last_old_row or row.sent >= self._start
                if row.number not in self._rejected
            }
            missing = [number for number, when in seen.items() if when is Seen.NEVER]
            in_flight = [number for number, when in seen.items() if when is Seen.IN_FLIGHT]
            stored = self._history.messages(missing) if missing else ()
            yield Batch(rows, list(self._verified(stored)), in_flight)

    def _verified(self, messages: Iterable[StoredMessage]) -> Iterator[StoredMessage]:
        """Yield the messages whose signature is valid, as they were signed."""
        for message in messages:
            if self._verifier is None or message.checked:
                yield message
                continue
            body = self._verifier.verify_stored(message.body, message.credentials)
            if body is None:
                self._rejected[message.number] = None
            else:
                yield message._replace(body=dict(body))


def _portions(headers: Iterable[MessageHeader]) -> Iterator[list[MessageHeader]]:
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
