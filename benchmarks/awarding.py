"""Measures what an award and the leaderboard after it cost."""

from __future__ import annotations

import time
from collections.abc import Sequence

from databases import History, statements
from deployment import AWARD_BADGE, AWARD_TOPIC, Deployment, candidates_of, parsed
from traffic import Draft, Traffic, send

from fedbadges.rules.recipients import EVERYBODY
from fedbadges.tahrir.awarding import Award

Results = dict[str, float]


def awarding(
    deployment: Deployment,
    history: History,
    traffic: Traffic,
    known: Sequence[str],
    new: Sequence[str],
    many: Sequence[str],
) -> Results:
    """Count the statements of awards to known people, to new ones, and to many at once."""
    engine = deployment.make_engine(deployment.rules, EVERYBODY)
    counts = {}
    for kind, names in (("known", known), ("new", new)):
        most = 0
        for name in names:
            draft = Draft(AWARD_TOPIC, {"user": name}, [name])
            body = send(draft, traffic.new_id())
            history.store([(draft, body)])
            case = candidates_of(engine, parsed(body))
            assert case is not None
            with statements(deployment.settings.tahrir_url) as sent:
                given = engine.decide(case)
            if given != 1:
                raise SystemExit(f"{given} awards instead of one to {name}")
            most = max(most, len(sent))
        counts[kind] = float(most)
    awards = [Award(AWARD_BADGE, name) for name in many]
    with statements(deployment.settings.tahrir_url) as sent:
        result = deployment.tahrir.award(awards)
    if len(result.given) != len(many):
        raise SystemExit(f"{len(result.given)} awards instead of {len(many)}")
    people = [given.person_id for given in deployment.awards]
    begin = time.perf_counter()
    deployment.tahrir.adjust_ranks(people)
    return {
        "statements_per_award": max(counts.values()),
        "statements_per_award_known": counts["known"],
        "statements_per_award_in_bulk": len(sent) / len(many),
        "adjust_ranks_ms": (time.perf_counter() - begin) * 1e3,
    }
