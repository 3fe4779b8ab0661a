"""Keeping counts in the state directory, for the next process.

They are of one history: of the database of this name, and of what it has. So the file remembers a
row that no count goes beyond. If that is gone, or is another one by now, a backup was restored, and
the file is thrown away.
"""

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.errors import Unavailable
from fedbadges.history.history import History
from fedbadges.history.kept import file as count_file
from fedbadges.history.kept.file import CountFile, Entry
from fedbadges.history.kept.region import Keepable, Kept
from fedbadges.history.kept.text import NotPlain, parse_window, plain_window
from fedbadges.history.message_reader import MessageHeader, MessageReader
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: Seconds between two writes of what has changed, and after one that failed.
_INTERVAL = 5.0
_RETRY = 60.0

#: How much is written at once, in characters.
_MOST_AT_ONCE = 2_000_000

#: Seconds to wait for the last write at the stop.
_STOP = 5.0


class CountSaver:
    """Writes counts to a file every few seconds and at the stop, in a thread of its own.

    Without a state directory, or where counts are not in memory, it does nothing. What goes wrong
    with the file costs time only: counts go on in memory.
    """

    def __init__(self, settings: Settings, history: History) -> None:
        directory = settings.state_directory
        self._path = None if directory is None else directory / count_file.NAME
        self._database = repr(settings.history_url)
        self._history = history
        self._reader = MessageReader(settings)
        self._file: CountFile | None = None
        self._epoch = ""
        #: A row that no count in the file goes beyond.
        self._row: MessageHeader | None = None
        self._failing = False
        self._throttle = Throttle()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fedbadges-counts", daemon=True)

    def start(self) -> None:
        """Open the file and start the thread; the databases must have answered before."""
        if self._path is not None and self._history.kept is not None:
            self.step()
            self._thread.start()

    def stop(self) -> None:
        """Write what has changed, for some seconds at most, and end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP)
        if self._file is not None and not self._thread.is_alive():
            self._file.close()

    def _work(self) -> None:
        while not self._stopping.wait(_RETRY if self._failing else _INTERVAL):
            self.step()
        self.step()

    def step(self) -> None:
        """Write what has changed, or else open the file; raise nothing."""
        path, kept = self._path, self._history.kept
        if path is None or kept is None:
            return
        try:
            if kept.failure is not None:
                raise kept.failure
            if not path.exists():
                # Somebody has deleted it, and what is written would be nowhere.
                self._close(kept)
            if self._file is None:
                self._open(path, kept)
            else:
                self._save(self._file, kept)
        except Unavailable:
            return
        except Exception as error:  # whatever it is, counts go on in memory
            if count_file.is_damage(error):
                self._replace(path, kept, error)
                return
            self._report(path, error)

    def _report(self, path: Path, error: Exception) -> None:
        if not self._failing:
            log.warning(
                "Cannot keep counts in the state directory, going on in memory",
                path=path,
                error=error,
            )
        self._failing = True

    def _replace(self, path: Path, kept: Kept, error: Exception) -> None:
        """Begin a new file in place of a damaged one."""
        if self._throttle.allows(path):
            log.warning(
                "The file of counts is damaged, beginning a new one", path=path, error=error
            )
        self._close(kept)
        try:
            count_file.delete(path)
            self._open(path, kept)
        except Unavailable:
            return
        except Exception as another:  # such as one of the file system
            self._report(path, another)

    def _open(self, path: Path, kept: Kept) -> None:
        file = CountFile(path)
        try:
            about = file.about()
            reason = self._reason_against(about)
            if reason is not None:
                log.info("Not using the counts of the last start", path=path, reason=reason)
                file.clear()
                about = {}
            self._attach(file, kept, about)
        except BaseException:
            if self._file is None:
                file.close()
            raise
        if about:
            log.info("Using the counts of the last start", path=path, count=file.count())

    def _attach(self, file: CountFile, kept: Kept, about: dict[str, Any]) -> None:
        self._row = _row_of(about) or self._reader.last()
        self._epoch = about.get("epoch", kept.epoch)
        self._history.use_file(file, self._epoch, parse_window(about.get("window")))
        self._file = file

    def _reason_against(self, about: dict[str, Any]) -> str | None:
        """Return why the counts of a file are not of this history; None if they are."""
        row = _row_of(about)
        if row is None:
            return None
        if about["database"] != self._database:
            return "another database"
        return None if self._reader.has(row) else "the history has gone back in time"

    def _save(self, file: CountFile, kept: Kept) -> None:
        history, epoch = self._history, kept.epoch
        if epoch != self._epoch:
            # The history was replaced meanwhile.
            file.clear()
            self._row, self._epoch = self._reader.last(), epoch
        changed = kept.take()
        if not changed:
            return
        # What the window has seen and the last row are read after the counts, so they are not
        # before them; that the row before is still there, after that.
        window = history.window.save()
        try:
            row = self._reader.last()
            if self._row is not None and not self._reader.has(self._row):
                history.forget()
                return
            if row is None or kept.epoch != epoch:
                return
            entries, rest = self._entries(changed)
            about = {
                "database": self._database,
                "epoch": epoch,
                "row": row[:4],
                "window": plain_window(window),
            }
            file.write(entries.items(), about)
        except BaseException:
            kept.put_back(changed)
            raise
        kept.put_back(rest)
        self._row = row
        if self._failing:
            log.info("Counts are kept in the state directory again", path=self._path)
        self._failing = False

    def _entries(
        self, changed: Mapping[str, Keepable]
    ) -> tuple[dict[str, Entry], dict[str, Keepable]]:
        """Return what is written now, and what is left for later; before a stop, that is nothing.

        What is written later is as true as it was.
        """
        entries: dict[str, Entry] = {}
        rest = dict(changed)
        size = 0
        for key, value in changed.items():
            if size > _MOST_AT_ONCE and not self._stopping.is_set():
                break
            del rest[key]
            with contextlib.suppress(NotPlain):
                entries[key] = entry = value.entry()
                size += len(entry.value)
        return entries, rest

    def _close(self, kept: Kept) -> None:
        kept.detach()
        if self._file is not None:
            self._file.close()
            self._file = None


def _row_of(about: dict[str, Any]) -> MessageHeader | None:
    if not about:
        return None
    number, msg_id, topic, sent = about["row"]
    return MessageHeader(number, msg_id, topic, sent, 0)
