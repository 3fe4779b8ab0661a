"""Measures the CPU that thousands of rules take, at a start and when one of their files changes.

Run as a process of its own, with the URLs of tahrir and of an empty history, and the directory of
rules to multiply; prints JSON.
"""

from __future__ import annotations

import json
import logging
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from daemons import running

_COUNT = 2001
_ROUNDS = 5

#: Seconds after a start until nothing is done any more but to look whether files have changed, and
#: for how many that is measured.
_SETTLING = 8.0
_IDLING = 6.0

_NAME = re.compile(r"^name:.*$", re.MULTILINE)


class _Loaded(logging.Handler):
    """Waits for the log line that says that rules were loaded."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._seen = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("Loaded rules"):
            self._seen.set()

    def wait(self) -> None:
        if not self._seen.wait(60):
            raise SystemExit("the rules were not loaded")
        self._seen.clear()


def main(tahrir_url: str, history_url: str, source: Path) -> None:
    loaded = _Loaded()
    logger = logging.getLogger("fedbadges")
    logger.addHandler(loaded)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    with tempfile.TemporaryDirectory() as home:
        rules, state = Path(home) / "rules", Path(home) / "state"
        _multiply(source, rules)
        # The first start shows all badges in tahrir.
        with running(rules, tahrir_url, history_url, state):
            loaded.wait()
        begin = time.process_time()
        with running(rules, tahrir_url, history_url, state):
            loaded.wait()
            starting = time.process_time() - begin
            time.sleep(_SETTLING)
            idle = _cpu(lambda: time.sleep(_IDLING)) / _IDLING
            changing = [_cpu_of_change(rules, number, loaded, idle) for number in range(_ROUNDS)]
    print(
        json.dumps(
            {
                "start_2001_cpu_s": starting,
                "reload_one_of_2001_cpu_s": statistics.mean(changing),
            }
        )
    )


def _multiply(source: Path, directory: Path) -> None:
    """Write as many rules as wanted, which are copies of others under other names."""
    directory.mkdir()
    texts = [path.read_text() for path in sorted(source.rglob("*.y*ml"))]
    texts = [text for text in texts if _NAME.search(text)]  # the badges of a series have several
    for number in range(_COUNT):
        text = _NAME.sub(f"name: Copy {number}", texts[number % len(texts)], count=1)
        (directory / f"{number}.yml").write_text(text)


def _cpu_of_change(rules: Path, number: int, loaded: _Loaded, idle: float) -> float:
    """Change a rule; return the CPU until it is in force beyond what ``idle`` takes a second."""
    path = rules / f"{number}.yml"
    text = path.read_text().replace(f"name: Copy {number}", f"name: COPY {number}")

    def change() -> None:
        path.write_text(text)
        loaded.wait()
        time.sleep(0.5)  # the line is logged before all is done

    begin = time.monotonic()
    taken = _cpu(change)
    return taken - idle * (time.monotonic() - begin)


def _cpu(function: Callable[[], None]) -> float:
    begin = time.process_time()
    function()
    return time.process_time() - begin


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
