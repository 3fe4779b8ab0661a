"""Measures the memory of a daemon that has handled a long history.

Run as a process of its own, with the URLs of tahrir and of the history, the directory of rules and
the seconds that it may take; prints JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from daemons import running
from memory import resident

#: Before the first message of the history, but not before what is caught up at most.
_BEFORE = 6 * 86400


def main(tahrir_url: str, history_url: str, rules: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as home:
        state = Path(home)
        (state / "checkpoint").write_text(json.dumps({"until": time.time() - _BEFORE}))
        with running(rules, tahrir_url, history_url, state) as daemon:
            begin, started = resident(), False
            while time.monotonic() < end:
                time.sleep(0.2)
                report = daemon.report()
                started = started or report["catch_up"]["running"]
                if started and not report["catch_up"]["running"] and report["warm_up"]["warm"]:
                    break
            results = {
                "memory_mb": resident(),
                "memory_begin_mb": begin,
                "memory_messages": float(daemon.report()["handled"]),
                "memory_warm": float(daemon.report()["warm_up"]["warm"]),
            }
    print(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
