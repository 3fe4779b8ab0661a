"""A hub tells tahrir how far people are, and which badges are a series."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from support.databases import Databases
from support.deployment import run_deployment
from support.rules import counting_rule
from tahrir_api.model import CurrentValue, Milestone

from fedbadges.databases.connections import engine

pytestmark = pytest.mark.slow

RULES = {f"scribe-{n}": counting_rule(f"Scribe {n}", "logger.edit", n) for n in (1, 3, 50)}


def test_progress_and_series_are_in_tahrir_after_a_stop(
    database: Databases, tmp_path: Path
) -> None:
    settings = {"badges.progress": True, "badges.series": True}
    with run_deployment(tmp_path, database, RULES, settings) as deployment:
        for badge in ("scribe-1", "", "scribe-3"):
            deployment.publish("logger.edit", username="ann")
            if badge:
                deployment.wait_for_badge("ann", badge)

    with engine(database.tahrir_url).connect() as connection:
        values = connection.execute(sa.select(CurrentValue.badge_id, CurrentValue.value))
        assert dict(values.tuples().all()) == {"scribe-1": 1, "scribe-3": 3, "scribe-50": 3}
        milestones = sa.select(Milestone.badge_id).order_by(Milestone.position)
        assert connection.scalars(milestones).all() == ["scribe-1", "scribe-3", "scribe-50"]
