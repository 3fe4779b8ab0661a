"""Measures the memory of a rule that reads all past messages.

Run as a process of its own, with the URLs of tahrir and of the history; prints JSON.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

from deployment import make_settings, parsed

from fedbadges.criteria.backends import load_backends
from fedbadges.rules.criteria import Question
from fedbadges.rules.loader import load_text

#: It is not to bring down the machine, nor to go on for ever.
_MOST_MEGABYTES = 4000

_RULE = """\
name:        Reader
description: You read a million messages.
creator:     alice
discussion:  https://badges.example.org/ideas/1
image_url:   https://badges.example.org/pngs/reader.png
trigger:
  topic: benchmark.read
criteria:
  filter:
    {filter}
  operation:
    lambda: "{operation}"
  condition:
    greater than or equal to: 1000000000
recipient: "%(username)s"
"""

_FILTER = "not_topics: [org.example.nothing]"
_OPERATION = "len([m for m in query.all() if m.msg.get('new') == 1])"


def main(tahrir_url: str, history_url: str, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as rules:
        settings, _ = make_settings(Path(rules), tahrir_url, history_url)
    backends = load_backends(settings)

    def judge(chosen: str) -> None:
        text = _RULE.format(filter=chosen, operation=_OPERATION)
        (rule,) = load_text(text.encode(), "reader.yml", backends)
        message = parsed(
            {"topic": "org.fedoraproject.prod.benchmark.read", "timestamp": time.time()}
        )
        rule.criteria.holds(Question(message))

    judge("msg_id: nothing")
    forget_peak()
    before = peak()
    begin = time.monotonic()

    def report(finished: bool) -> None:
        print(
            json.dumps(
                {
                    "query_all_rss_mb": peak() - before,
                    "query_all_seconds": time.monotonic() - begin,
                    "query_all_finished": float(finished),
                }
            ),
            flush=True,
        )
        os._exit(0)

    limit = threading.Timer(seconds, report, [False])
    limit.daemon = True
    limit.start()
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEGABYTES << 20, resource.RLIM_INFINITY))
    try:
        judge(_FILTER)
    except MemoryError:
        report(False)
    report(True)


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """Return the largest resident size of this process so far, in MB."""
    # What getrusage gives has the parent's in it.
    return _status("VmHWM")


def resident() -> float:
    """Return the resident size of this process, in MB."""
    return _status("VmRSS")


def _status(key: str) -> float:
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
