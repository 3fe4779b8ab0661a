"""What the demo prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scenario import EXPECTED, NEAR_MISSES

TERMINAL = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
COLOURS = TERMINAL and not os.environ.get("NO_COLOR")
#: How much of a daemon's log to show when something went wrong.
TAIL = 40


def say(text: str = "") -> None:
    # What stands in the line is the progress, which the text takes the place of.
    print(("\r\x1b[K" if TERMINAL else "") + text, flush=True)


def begun(daemons: str, publisher: str, condition: str) -> None:
    say(daemons)
    say(publisher)
    say(f"{condition} Each award is shown as it arrives on the bus:")
    say()


def metrics(addresses: Sequence[str]) -> None:
    """Say where a daemon serves metrics, or several do, until the demo ends."""
    say(f"Metrics: {' and '.join(f'http://{address}/metrics' for address in addresses)}")


def progress(done: int, total: int) -> None:
    if not TERMINAL:
        return
    print(f"\r\x1b[K{_dim(f'  {done} of {total} messages published')}", end="", flush=True)


def landed(seconds: float, person: str, badge: str) -> None:
    say(f"  {_dim(f'{seconds:5.1f} s')}  {person:<8} {_bold(badge)}")


def shares(logs: Mapping[str, str]) -> None:
    """Say how many awards each daemon made, by their logs."""
    counts = [f"{name} made {log.count('Awarded badge')}" for name, log in logs.items()]
    say()
    say(f"Of these awards, {', '.join(counts)}.")


def table(awards: Sequence[Any], sent: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        (award.person, award.badge, f"{award.when:%H:%M:%S.%f}"[:-3], _cause(award.msg_id, sent))
        for award in awards
    ]
    head = ("who", "badge", "when (UTC)", "because of which message")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    say()
    say("In tahrir's database, read back through tahrir_api:")
    say()
    for row in (head, tuple("-" * width for width in widths), *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say(("  " + "  ".join(cells)).rstrip())
    say()


def verdict(awards: Sequence[Any]) -> bool:
    """Print a comparison with the expected awards; return True if they are equal."""
    wanted = {(person, badge) for person, badges in EXPECTED.items() for badge in badges}
    actual = [(award.person, award.badge) for award in awards]
    wrong = [("missing", *pair) for pair in sorted(wanted - set(actual))]
    wrong += [("should not be there", *pair) for pair in sorted(set(actual) - wanted)]
    wrong += [("twice", *pair) for pair in sorted(set(actual)) if actual.count(pair) > 1]
    if wrong:
        say(_red("These are not the badges that had to be awarded:"))
        for what, person, badge in wrong:
            say(f"  {what}: {person}, {badge}{_reason(person, badge)}")
        return False
    say(_green(f"Exactly the {len(wanted)} badges that had to be awarded. Some that had not to:"))
    say()
    for person, badge, why in NEAR_MISSES:
        say(f"  {person:<11}  {badge:<21}  {_dim(why)}")
    return True


def failure(what: str, logs: Iterable[Path]) -> None:
    say(_red(f"The demo failed: {what}."))
    tail(logs)


def tail(logs: Iterable[Path]) -> None:
    for log in logs:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
        say()
        say(f"The last {len(lines)} lines of {log.name}:")
        say()
        for line in lines:
            say(f"  {line}")


def _cause(msg_id: str, sent: Mapping[str, Mapping[str, Any]]) -> str:
    body = sent.get(msg_id)
    if body is None:
        return f"unknown: {msg_id}"
    short = ".".join(body["topic"].split(".")[3:])
    return f"{short}, number {body['number']}" if "number" in body else short


def _reason(person: str, badge: str) -> str:
    return next(
        (f" ({why})" for who, what, why in NEAR_MISSES if (who, what) == (person, badge)), ""
    )


def _style(code: str, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLOURS else text


def _bold(text: str) -> str:
    return _style("1", text)


def _dim(text: str) -> str:
    return _style("2", text)


def _red(text: str) -> str:
    return _style("31", text)


def _green(text: str) -> str:
    return _style("32", text)
