"""What an award costs, and the leaderboard after it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from databases import History, statements
from deployment import AWARD_TOPIC, Deployment, parsed
from traffic import Draft, Traffic, send

from fedbadges.accounts import EVERYBODY

Results = dict[str, float]


def awarding(
    deployment: Deployment,
    history: History,
    traffic: Traffic,
    known: Sequence[str],
    new: Sequence[str],
) -> Results:
    """Count the statements of awards, to people whom tahrir knows and to new ones."""
    engine = deployment.make_engine(deployment.rules, EVERYBODY)
    counts = {}
    for kind, names in (("known", known), ("new", new)):
        most = 0
        for name in names:
            draft = Draft(AWARD_TOPIC, {"user": name}, [name])
            body = send(draft, traffic.new_id())
            history.store([(draft, body)])
            case = engine.consider(parsed(body))
            assert case is not None
            with statements(deployment.settings.tahrir_url) as sent:
                given = engine.decide(case)
            if given != 1:
                raise SystemExit(f"{given} awards instead of one to {name}")
            most = max(most, len(sent))
        counts[kind] = float(most)
    people = [given.person_id for given in deployment.awards]
    begin = time.perf_counter()
    deployment.tahrir.adjust_ranks(people)
    return {
        "statements_per_award": max(counts.values()),
        "statements_per_award_known": counts["known"],
        "adjust_ranks_ms": (time.perf_counter() - begin) * 1e3,
    }
