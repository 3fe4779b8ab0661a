"""Measures the speed and the memory of the replay for a backfill.

Run as a process of its own, with the URLs of tahrir and of the history, the directory of rules and
the seconds that it may take; prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from deployment import make_settings
from memory import forget_peak, peak

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.replay.replay import Replay
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.loader import load_directory
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir

#: How many earned badges go by between two looks at the clock.
_LOOK = 50

#: A short history is gone through so often, and the fastest time counts: the first one has the
#: start of SQLAlchemy in it, and each has whatever else the machine does.
_ROUNDS = 3


def main(tahrir_url: str, history_url: str, directory: Path, seconds: float) -> None:
    settings, _ = make_settings(directory, tahrir_url, history_url)
    replay = Replay(settings, Tahrir(settings))
    loaded = load_directory(directory, replay.backends).rules
    rules = [rule for rule in loaded if _counts(rule)]
    forget_peak()
    before = peak()
    begin = time.monotonic()
    fastest, earned = _pass(replay, rules, seconds)
    for _ in range(_ROUNDS - 1):
        if time.monotonic() - begin < seconds / 4:
            fastest = max(fastest, _pass(replay, rules, seconds)[0])
    print(
        json.dumps(
            {
                "backfill_rules": float(len(rules)),
                "backfill_messages": float(replay.done),
                "backfill_earned": float(earned),
                "backfill_messages_per_s": fastest,
                "backfill_rss_mb": peak() - before,
            }
        )
    )


def _pass(replay: Replay, rules: Sequence[Rule], seconds: float) -> tuple[float, int]:
    """Return how many messages are gone through in a second, and how many badges are earned."""
    begin, earned = time.monotonic(), 0
    for _ in replay.run(rules, measure=False):
        earned += 1
        if earned % _LOOK == 0 and time.monotonic() - begin > seconds:
            break
    return replay.done / (time.monotonic() - begin), earned


def _counts(rule: Rule) -> bool:
    return all(
        isinstance(each, PastMessages) and each.operation.expression is None
        for each in backend_criteria(rule.criteria)
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
