"""A window over the recent end of the history, in memory, so that counting there needs no query.

Cached counts end some minutes ago, and what came since is counted for every message. One query,
for what was stored since the last one, serves all these counts.
"""

import datetime
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from fedbadges.history.horizon import Base, Horizon, OutdatedBase
from fedbadges.history.matching import Matcher
from fedbadges.history.window import reader
from fedbadges.history.window.late_messages import LateMessages
from fedbadges.history.window.reader import LOOK_BACK, RecentMessage, SavedWindow, Update
from fedbadges.history.window.recent_rows import RecentRows
from fedbadges.messages import Message, Position
from fedbadges.rules.filters import FilledFilter

#: The window begins this long before the cutoff, or before the oldest messages of a backlog.
_REACH = datetime.timedelta(seconds=300)

#: How many messages the window holds at most, and how many are left when the oldest are dropped. If
#: more than those were sent after the cutoff, it is not worth its memory.
_MOST = 100_000
_MANY = 80_000

#: After how many seconds what was too much is tried again.
_PAUSE = 60.0

#: Seconds after which the window is read again in any case.
_FRESH = 5.0


class RecentWindow:
    """Selects recent and late messages by a filter; safe to use from several threads.

    A message is late if it was stored after the end of a base that it would be in, if it had been
    stored before. Late messages are held, however old they are, so that a base stays usable. If
    there are too many, as by an import, the window gets another lineage.

    No lock is held while the database is asked. Each thread reads from a position that it takes
    under the lock, and merges what it has read under the lock again. Several may read the same at
    the same time: merging a message twice changes nothing. What was read before the window was
    reset is discarded.

    ``distance`` is for how many seconds a message may be on its way into the database. Methods
    raise what the database raises.
    """

    def __init__(self, distance: float) -> None:
        self._distance = distance
        self._lock = threading.Lock()
        # A key of Connection.info: the connection was in use when the window was read.
        self._known = f"fedbadges_window_{id(self)}"
        self._generation = 0
        self._loading = False
        # What was sent after the floor is here; without one, the window is empty. While more is
        # read, what is new is held if it was sent after ``reach``.
        self._floor: datetime.datetime | None = None
        self._reach = datetime.datetime.max
        self._rows = RecentRows()
        self._resume = 0.0
        self._resume_reaching = 0.0
        # The latest moment at which a base of the lineage may end.
        self._cutoff = datetime.datetime.min
        self._gaps: dict[int, float] = {}  # until when, by time.monotonic, each is asked for
        self._saved: SavedWindow | None = None  # what the next one to load continues
        self._reset()

    def outside(
        self,
        connection: Connection,
        filled: FilledFilter,
        base: Base,
        cutoff: datetime.datetime,
        message: Message | None = None,
        until: Position | None = None,
    ) -> tuple[list[RecentMessage], Horizon] | None:
        """Return the messages that a filter selects and that are not in a base, and the horizon.

        Those are all that are stored by now or, with ``message``, that were stored at some time
        after it came and was stored itself; with its position ``until``, before it at least. None
        where the window cannot tell. A base may end at ``cutoff``, naive UTC. Raises OutdatedBase.
        """
        with self._lock:
            self._reset_if_new(connection)
        known = self.known_outside(filled, base, cutoff, message, until)
        matcher = Matcher(filled)
        if known is not None or matcher.reads_content:
            return known
        with self._updated(connection, cutoff) as is_current:
            if is_current and base.horizon.mark > self._mark:
                raise OutdatedBase
            return self._select(filled, matcher, base) if is_current else None

    def known_outside(
        self,
        filled: FilledFilter,
        base: Base,
        cutoff: datetime.datetime,
        message: Message | None,
        until: Position | None = None,
    ) -> tuple[list[RecentMessage], Horizon] | None:
        """Return the same without a query, where there was one since the message was there."""
        matcher = Matcher(filled)
        if matcher.reads_content:
            return None
        with self._lock:
            self._cutoff = max(self._cutoff, cutoff)
            if self._has_seen(message, until) and base.horizon.mark <= self._mark:
                return self._select(filled, matcher, base)
        return None

    def late(self, filled: FilledFilter, base: Base) -> list[RecentMessage] | None:
        """Return the messages that a base would have if they had not been late; None if unknown."""
        matcher = Matcher(filled)
        if matcher.reads_content:
            return None
        with self._lock:
            return self._late.select(matcher, base)

    def seen(self) -> Horizon:
        """Return what was seen by now; nothing, if the window is not loaded."""
        with self._lock:
            return self._horizon()

    def horizon(self, connection: Connection, cutoff: datetime.datetime) -> Horizon:
        """Return what is seen by now, for a base that ends at ``cutoff`` at the latest."""
        with self._lock:
            self._reset_if_new(connection)
            if self._floor is not None:
                self._cutoff = max(self._cutoff, cutoff)
                return self._horizon()
        with self._updated(connection, cutoff):
            if self._floor is not None:
                return self._horizon()
        # What is being committed has numbers that are at most so much lower.
        return Horizon(max(reader.highest_number(connection) - LOOK_BACK, 0))

    def save(self) -> SavedWindow | None:
        """Return what another process needs to continue this window, if that is not too much."""
        with self._lock:
            return self._save() if self._floor is not None else self._saved

    def restore(self, saved: SavedWindow) -> None:
        """Continue a window of another process with the next question."""
        with self._lock:
            self._reset()
            self._saved = saved

    def reset(self) -> None:
        """Forget all messages, and begin another lineage."""
        with self._lock:
            self._reset()
            self._saved = None

    def refresh(self, connection: Connection) -> None:
        """Read what is new; an empty window stays empty."""
        with self._updated(connection):
            pass

    def latest_people(self, most: int) -> set[str]:
        """Return whom the newest messages in the window concern, about so many people at most."""
        with self._lock:
            return self._rows.latest_people(most)

    def known_positions(self, messages: Iterable[Message]) -> dict[str | None, list[Position]]:
        """Return the positions of those messages that are in the window by now, by their ids."""
        with self._lock:
            return self._rows.positions(messages)

    def positions(
        self, connection: Connection, messages: Collection[Message]
    ) -> dict[str | None, list[Position]]:
        """Return the positions of those messages that are in the window, by their ids.

        What is new is read if some of them may be among it, and what was sent before the window
        begins if that is not too much: whoever asks has a backlog, and will ask about it again.
        """
        found, floor = self.known_positions(messages), self._floor
        missing = [each.sent for each in messages if each.msg_id not in found]
        if floor is None or not missing:
            return found
        if min(missing) <= floor:
            self._reach_back(connection, min(missing))
        if max(missing) > floor:
            self.refresh(connection)
        return self.known_positions(messages)

    def _reach_back(self, connection: Connection, sent: datetime.datetime) -> None:
        """Let the window begin before a time, if it can hold all messages since then."""
        reach = max(sent, datetime.datetime.min + _REACH) - _REACH
        with self._lock:
            self._reset_if_new(connection)
            generation, floor = self._generation, self._floor
            is_paused = time.monotonic() < self._resume_reaching
            if floor is None or self._reach < floor or reach >= floor or is_paused:
                return
            # What others read from now on is held.
            self._reach = reach
            room = _MOST - len(self._rows)
        older: list[RecentMessage] | None = None
        try:
            older = reader.read_between(connection, reach, floor, room)
        finally:
            with self._lock:
                if generation == self._generation and (self._reach, self._floor) == (reach, floor):
                    if older is None:
                        self._reach = floor
                        self._resume_reaching = time.monotonic() + _PAUSE
                    else:
                        self._floor = reach
                        # The others come as what is new, and may be late.
                        seen = self._horizon()
                        self._rows = self._rows.with_older(row for row in older if seen.has(row.id))

    @contextmanager
    def _updated(
        self, connection: Connection, cutoff: datetime.datetime | None = None
    ) -> Iterator[bool]:
        """Read what is new, then hold the lock; yield True if all that is stored is here.

        Without a ``cutoff`` an empty window stays empty.
        """
        with self._lock:
            self._reset_if_new(connection)
            generation, floor, mark = self._generation, self._floor, self._mark
            now = time.monotonic()
            self._gaps = {number: end for number, end in self._gaps.items() if end > now}
            gaps = list(self._gaps)
            # Unless another thread loads the window, or there is too much to hold.
            may_load = not self._loading and now >= self._resume
            loads = floor is None and cutoff is not None and may_load
            self._loading |= loads
            saved = self._saved
        update = since = None
        try:
            if floor is not None:
                update = reader.read_new(connection, floor, mark, gaps, _MOST)
            elif cutoff is not None and loads:
                update = reader.read_all(connection, cutoff - _REACH, _MOST)
                # Not by a clock that was fast: bases would end in the future.
                if saved is not None and saved.cutoff <= cutoff and update.complete:
                    since = reader.read_since(connection, saved, update.floor, _MOST)
        except BaseException:
            with self._lock:
                self._loading = False
                self._suspend()
            raise
        with self._lock:
            self._loading &= not loads
            is_valid = generation == self._generation
            is_current = update is not None and is_valid and self._merge(update)
            if is_current and loads:
                self._saved = None
                if saved is not None and since is not None:
                    is_current = self._continue(saved, since)
            if cutoff is not None:
                self._cutoff = max(self._cutoff, cutoff)
            yield is_current

    def _reset_if_new(self, connection: Connection) -> None:
        """Reset the window for a connection that was not in use before.

        It may lead to another server than before, or to one that was restored from a backup.
        """
        if not connection.info.get(self._known):
            self._suspend()
            connection.info[self._known] = True

    def _suspend(self) -> None:
        """Forget all messages, and continue if the history turns out to be the same."""
        if self._floor is not None:
            self._saved = self._save()
        self._reset()

    def _save(self) -> SavedWindow | None:
        late = self._late.saved()
        if self._last is None or late is None:
            return None
        gaps = tuple(self._gaps)
        return SavedWindow(self._late.lineage, self._mark, self._last, gaps, self._cutoff, late)

    def _reset(self) -> None:
        self._generation += 1
        self._floor = None
        self._reach = datetime.datetime.max
        self._refreshed = 0.0
        self._cutoff = datetime.datetime.min
        self._mark = 0
        self._last: reader.Identity | None = None
        self._gaps = {}
        self._rows = RecentRows()
        self._begin_lineage()

    def _begin_lineage(self) -> None:
        """Forget late messages; no base of the lineage before is usable by this window."""
        self._late = LateMessages()
        self._seen = Horizon(0)

    def _horizon(self) -> Horizon:
        """Return what is seen by now; often the same object, as many bases have it."""
        gaps = self._gaps.keys()
        known = self._seen.mark, self._seen.lineage
        if known != (self._mark, self._late.lineage) or self._seen.gaps != gaps:
            self._seen = Horizon(self._mark, frozenset(gaps), self._late.lineage)
        return self._seen

    def _has_seen(self, message: Message | None, until: Position | None) -> bool:
        """Return True if the window was read after this message came, and had it by then.

        A message that was sent before the window begins need not be in it. With its row, all was
        read that was stored before it.
        """
        if message is None or self._floor is None or time.monotonic() - self._refreshed > _FRESH:
            return False
        if message.sent > self._floor and not self._rows.has_msg_id(message.msg_id):
            return False
        if self._refreshed > message.received:
            return True
        return until is not None and until[1] <= self._mark and until[1] not in self._gaps

    def _continue(self, saved: SavedWindow, since: Update) -> bool:
        """Continue another window with what was read since, as if there was no other in between.

        This one was just loaded, so no base is of its own lineage.
        """
        self._late = LateMessages(saved.lineage, saved.late)
        self._mark, self._last = saved.mark, saved.last
        self._gaps = dict.fromkeys(saved.gaps, time.monotonic() + self._distance)
        return self._merge(since, saved.cutoff)

    def _merge(self, update: Update, cutoff: datetime.datetime | None = None) -> bool:
        """Add what was read; return True if all that was stored when reading began is here.

        No base ends after ``cutoff``, or else after the latest moment at which one may.
        """
        is_loading = self._floor is None
        if self._floor is None:
            if not update.complete:
                self._disable()
                return False
            self._floor = self._reach = update.floor
            self._cutoff = max(self._cutoff, update.floor)
        seen = self._horizon()
        cutoff = cutoff or self._cutoff
        for row in update.messages:
            self._gaps.pop(row.id, None)
            # When the window is loaded there is no base yet.
            if not is_loading and row.timestamp <= cutoff and not seen.has(row.id):
                self._late.add(row)
            if row.timestamp > self._reach:
                self._rows.add(row)
        if update.mark > self._mark:
            self._mark, self._last = update.mark, update.last
        end = time.monotonic() + self._distance
        # Others may have read further meanwhile.
        new = (each for each in update.gaps if each > seen.mark and each not in self._rows)
        self._gaps |= dict.fromkeys(new, end)
        for number in list(self._gaps)[:-LOOK_BACK]:
            del self._gaps[number]
        if update.complete:
            self._refreshed = max(self._refreshed, update.started)
        if self._late.are_too_many or not update.complete:  # there may be more late ones
            self._begin_lineage()
        self._limit_size()
        return update.complete and self._floor is not None

    def _limit_size(self) -> None:
        """Drop the oldest messages, if there are too many."""
        if len(self._rows) <= _MOST:
            return
        floor = self._rows.time_before_newest(_MANY)
        if floor >= self._cutoff:
            self._disable()
        else:
            self._floor = self._reach = floor
            self._rows.drop_until(floor)

    def _disable(self) -> None:
        """Disable the window for a while: too many recent messages to hold."""
        self._resume = time.monotonic() + max(_PAUSE, self._distance)
        self._reset()

    def _select(
        self, filled: FilledFilter, matcher: Matcher, base: Base
    ) -> tuple[list[RecentMessage], Horizon] | None:
        """Return what matches outside a base; None where the window does not reach back so far."""
        if self._floor is None or base.until < self._floor:
            return None
        late = self._late.select(matcher, base)
        if late is None:
            return None
        recent = filter(matcher.matches, self._rows.candidates(filled, base.until))
        return [*recent, *late], self._horizon()
