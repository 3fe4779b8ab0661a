"""Where the authority's certificate and its revocation list are: in a file, or on the web."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import requests

from fedbadges.util import http as web

#: Seconds between two requests that are not the usual ones.
_REQUEST_INTERVAL = 120.0

#: Seconds that a server has to answer.
_TIME_LIMIT = 5.0


class Unreadable(Exception):
    """What should be there cannot be read; the text says what, and why."""


class Source(Protocol):
    """A place to read a text from, again and again; ``remote`` if another machine has it."""

    remote: bool

    def read(self, *, insist: bool = False) -> bytes | None:
        """Give the text where it may have changed; None where it has not, or was just asked for.

        With ``insist`` it is asked for sooner than usual. Raises Unreadable.
        """


def source(location: str, interval: float, clock: Callable[[], float] = time.monotonic) -> Source:
    """Make the source for a path or an https address.

    ``interval`` is how many seconds pass between two requests for an address; with 0 it is asked
    again where there is a reason only.
    """
    if is_address(location):
        return _Address(location, interval, clock)
    return _File(location)


def is_address(location: str) -> bool:
    """Tell whether this is an address, by fedmsg's rule; all else is a path."""
    return location.startswith("https://")


class _File:
    remote = False

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._seen: tuple[int, int, int] | None = None

    def read(self, *, insist: bool = False) -> bytes | None:
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns)
            if seen == self._seen:
                return None
            text = self._path.read_bytes()
        except (OSError, ValueError) as error:
            self._seen = None
            words = getattr(error, "strerror", None) or str(error)
            raise Unreadable(f"{self._path}: {words}") from None
        self._seen = seen
        return text


class _Address:
    remote = True

    def __init__(self, address: str, interval: float, clock: Callable[[], float]) -> None:
        self._address = address
        self._interval = interval
        self._clock = clock
        self._asked: float | None = None
        self._failed = False

    def read(self, *, insist: bool = False) -> bytes | None:
        now = self._clock()
        if self._asked is not None and now - self._asked < self._pause(insist):
            return None
        self._asked, self._failed = now, True
        try:
            text = self._fetch()
        except Exception as error:  # of requests, and of what it stands on
            shown = web.strip_credentials(self._address)
            raise Unreadable(f"{shown}: {web.error_reason(error)}") from None
        self._failed = False
        return text

    def _fetch(self) -> bytes:
        with web.configure_session(requests.Session(), _TIME_LIMIT) as session:
            response = session.get(self._address)
            response.raise_for_status()
            return response.content

    def _pause(self, insist: bool) -> float:
        usual = self._interval or math.inf
        return min(usual, _REQUEST_INTERVAL) if insist or self._failed else usual
