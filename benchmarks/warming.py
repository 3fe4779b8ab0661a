"""Measures the pass over the history that counts for everybody what rules ask about.

Run as a process of its own, with the URLs of tahrir and of the history, the directory of rules and
the seconds that it may take; prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from deployment import make_settings
from memory import forget_peak, peak

from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import shared_history
from fedbadges.replay.past_counts import PastCounts, counted_questions
from fedbadges.rules.loader import load_directory


def main(tahrir_url: str, history_url: str, directory: Path, seconds: float) -> None:
    settings, _ = make_settings(directory, tahrir_url, history_url)
    backends = load_backends(settings)
    questions = counted_questions(load_directory(directory, backends).rules)
    past = PastCounts(settings, shared_history(backends, settings), questions)
    forget_peak()
    before = peak()
    begin = time.monotonic()
    for _ in past.run():
        if time.monotonic() - begin > seconds:
            break
    taken = time.monotonic() - begin
    print(
        json.dumps(
            {
                "warmup_rules": float(len({each.rule.badge.id for each in questions})),
                "warmup_messages": float(past.done),
                "warmup_counts": float(past.found),
                "warmup_messages_per_s": past.done / taken,
                "warmup_rss_mb": peak() - before,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
