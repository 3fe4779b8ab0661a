"""A headless Chromium, controlled by its DevTools protocol over a pair of pipes."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.waiting import TIMEOUT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
_ENABLED = ("Page", "Runtime", "Log", "Network")


class Chromium:
    """One tab, that shows pages of the disk."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._from = to, answers
        self._numbers = itertools.count(1)
        self._read = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in _ENABLED:
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result."""
        number = next(self._numbers)
        request: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            request["sessionId"] = self._session
        os.write(self._to, json.dumps(request).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") != number:
                self.events.append(said)
                continue
            assert "error" not in said, (method, said["error"])
            return said["result"]

    def show(self, page: Path | str, width: int, scheme: str = "light") -> None:
        """Open a page, by its file or address, in a window of that width.

        ``scheme`` is whether its reader likes it light or dark.
        """
        height = 800
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        preferred = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=preferred)
        self.events.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while not self.happened("Page.loadEventFired"):
            self.events.append(self._next())

    def happened(self, method: str) -> list[dict[str, Any]]:
        """Return what was told of this kind since the page was opened."""
        return [each["params"] for each in self.events if each.get("method") == method]

    def complaints(self) -> list[Any]:
        """Return what the console has: errors, exceptions, and what the page's policy forbade."""
        return [
            each
            for method in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
            for each in self.happened(method)
        ]

    def requests(self) -> list[str]:
        """Return what the page asked for, with the page itself."""
        return [each["request"]["url"] for each in self.happened("Network.requestWillBeSent")]

    def value(self, expression: str) -> Any:
        """Return the value of some JavaScript."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def picture(self, path: Path) -> None:
        """Store a picture of the whole page, for people."""
        done = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(done["data"]))

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + TIMEOUT
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._from], [], [], max(until - time.monotonic(), 0))
            assert ready, "Chromium does not answer"
            piece = os.read(self._from, 1 << 20)
            assert piece, "Chromium went away"
            self._read += piece
        said, _, self._read = self._read.partition(b"\0")
        return json.loads(said)


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """Start a Chromium with a profile of its own, and ends it."""
    assert CHROMIUM is not None
    theirs, to = os.pipe()
    answers, says = os.pipe()
    # It reads from 3 and writes to 4.
    script = f'exec "$@" 3<&{theirs} 4>&{says}'
    command = ["bash", "-c", script, "bash", CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        command, pass_fds=(theirs, says), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    os.close(says)
    try:
        yield Chromium(to, answers)
    finally:
        os.close(to)
        os.close(answers)
        process.terminate()
        process.wait(timeout=TIMEOUT)
