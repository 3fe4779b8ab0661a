"""Measures what ``fedbadges preview`` costs: for other operations, and over a longer history.

Run as a process of its own, with the URLs of tahrir and of histories, the shortest first; prints
JSON. Over the first history it compares operations; with three, the others are compared for the
slowest rule of the documentation's cookbook.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from databases import connect
from deployment import ROOT, make_settings

from fedbadges.config.settings import Settings
from fedbadges.replay.replay import Replay
from fedbadges.rules.loader import load_text
from fedbadges.tahrir.database import Tahrir

_METADATA = """\
name:        Preview
description: You were previewed.
creator:     alice
discussion:  https://badges.example.org/ideas/1
image_url:   https://badges.example.org/pngs/preview.png
"""

_RULE = """\
trigger: {{topic: git.receive}}
criteria:
  filter: {{topics: ["%(topic)s"], usernames: ["%(msg.commit.username)s"]}}
  operation: {operation}
  condition: {{greater than or equal to: 25}}
recipient: "%(msg.commit.username)s"
"""
_COUNT = _RULE.format(operation="count")
_DISTINCT = _RULE.format(
    operation="""{lambda: "len({m.msg['commit']['repo'] for m in query.all()})"}"""
)

#: Each of two things that are compared is measured so many times, in turn with the other; the least
#: counts, as whatever else the machine does only adds to it.
_ROUNDS = 2

_BLOCK = re.compile(r"^\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", re.MULTILINE)


def main(tahrir_url: str, *history_urls: str) -> None:
    with tempfile.TemporaryDirectory() as rules:
        settings = [make_settings(Path(rules), tahrir_url, url)[0] for url in history_urls]
    results = _compare(settings[0])
    if len(settings) == 3:
        results |= _grow(*settings[1:])
    print(json.dumps(results))


def _compare(settings: Settings) -> dict[str, float]:
    """Return what a rule that counts different things costs, over what one costs that counts."""
    server = _server_cpu(settings.history_url)
    spent: dict[str, list[float]] = {_COUNT: [], _DISTINCT: []}
    for _ in range(_ROUNDS):
        for text, seconds in spent.items():
            begin = time.process_time() + server()
            _preview(settings, text)
            seconds.append(time.process_time() + server() - begin)
    count, distinct = (min(seconds) for seconds in spent.values())
    return {"preview_count_cpu_s": count, "preview_distinct_over_count": distinct / count}


def _grow(short: Settings, long: Settings) -> dict[str, float]:
    """Return by how much a preview takes longer over a longer history, for the slowest rule."""
    cookbook = (ROOT / "docs" / "rules.rst").read_text().partition("\nCookbook\n")[2]
    rules = [re.sub("^    ", "", each, flags=re.MULTILINE) for each in _BLOCK.findall(cookbook)]
    taken = {text: _seconds(short, text) for text in rules}
    slowest = max(taken, key=taken.__getitem__)
    rounds = [[_seconds(each, slowest) for each in (short, long)] for _ in range(_ROUNDS)]
    shortest, longest = map(min, zip(*rounds, strict=True))
    return {
        "preview_cookbook_rules": float(len(rules)),
        "preview_slowest_s": longest,
        "preview_growth": longest / shortest,
    }


def _seconds(settings: Settings, text: str) -> float:
    begin = time.monotonic()
    _preview(settings, text)
    return time.monotonic() - begin


def _preview(settings: Settings, text: str) -> None:
    replay = Replay(settings, Tahrir(settings))
    (rule,) = load_text((_METADATA + text).encode(), "preview.yml", replay.backends)
    for _ in replay.run([rule]):
        pass


def _server_cpu(url: sa.URL) -> Callable[[], float]:
    """Return what returns the seconds of CPU that the database's server has taken."""
    with connect(url.render_as_string(hide_password=False)) as cursor:
        cursor.execute("SHOW data_directory")
        directory = Path(cursor.fetchone()[0])
    pid = int((directory / "postmaster.pid").read_text().split()[0])
    tick = os.sysconf("SC_CLK_TCK")

    def seconds() -> float:
        # A process may end after it was listed: its parent has its time then, and all is read anew.
        while True:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                of_children = sum(sum(_times(int(child))[:2]) for child in children)
                return (sum(_times(pid)) + of_children) / tick

    return seconds


def _times(pid: int) -> list[int]:
    """Return the time of a process, in user mode and in the kernel, then that of its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(each) for each in fields[11:15]]


if __name__ == "__main__":
    main(*sys.argv[1:])
