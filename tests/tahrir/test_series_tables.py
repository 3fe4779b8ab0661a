"""Series of badges in tahrir's tables."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import make_settings, wipe
from support.databases import Databases
from support.publisher import FakePublisher
from support.rules import counting_rule, write_rules
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Milestone, Series, Team

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.service.daemon import Daemon
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.series import TEAM, BadgeSeries

BOTH = BadgeSeries("Both of them", "Editor to Tagger", ("editor", "tagger"))


def shown(settings: Settings) -> dict[str, list[tuple[int, str]]]:
    """Return the milestones of each series, by its name."""
    rows = sa.select(Series.name, Milestone.position, Milestone.badge_id).outerjoin(Milestone)
    found: dict[str, list[tuple[int, str]]] = {}
    with engine(settings.tahrir_url).connect() as connection:
        for name, position, badge_id in connection.execute(rows.order_by(Milestone.position)):
            found.setdefault(name, []).append((position, badge_id))
    return found


def test_series_has_a_milestone_for_each_badge(settings: Settings, tahrir: Tahrir) -> None:
    for _ in "12":
        tahrir.publish_series([BOTH])

        assert shown(settings) == {"Both of them": [(1, "editor"), (2, "tagger")]}


def test_outdated_milestones_and_series_are_deleted(settings: Settings, tahrir: Tahrir) -> None:
    tahrir.publish_series([BOTH, BadgeSeries("Other", "One", ("tagger",))])

    tahrir.publish_series([BadgeSeries(BOTH.name, "Reversed", ("tagger", "editor", "missing"))])
    assert shown(settings) == {"Both of them": [(1, "tagger"), (2, "editor")]}

    tahrir.publish_series([])
    assert shown(settings) == {}


def test_series_that_somebody_else_made_stay(
    settings: Settings, tahrir: Tahrir, api: TahrirDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    api.session.add(Team(id="ours", name="Ours"))
    api.session.flush()
    for id_, name in (("mine", "Mine"), ("other-id", BOTH.name)):
        api.session.add(Series(id=id_, name=name, description="By hand", team_id="ours"))
    api.session.commit()

    tahrir.publish_series([BOTH, BadgeSeries("Mine", "Not mine", ("editor",))])
    tahrir.publish_series([])

    assert shown(settings) == {"Mine": [(None, None)], BOTH.name: [(None, None)]}
    assert "did not make" in caplog.text


def test_no_team_is_made_without_a_series(tahrir: Tahrir, api: TahrirDatabase) -> None:
    tahrir.publish_series([])

    assert api.session.get(Team, TEAM) is None


def with_a_series(databases: Databases, rules: Path) -> Settings:
    """Return the settings of a daemon with two rules of one series, over an empty tahrir."""
    wipe(databases)
    badges = {f"scribe-{n}": counting_rule(f"Scribe {n}", "wiki.edit", n) for n in (2, 10)}
    write_rules(rules, badges)
    return make_settings(databases, rules, reload=False, series=True)


def test_daemon_tells_tahrir_of_the_series_of_its_rules(
    shared_database: Databases, tmp_path: Path
) -> None:
    settings = with_a_series(shared_database, tmp_path / "rules")
    daemon = Daemon(settings, FakePublisher())
    daemon.start()
    try:
        assert daemon.started.result(60) is None
        assert shown(settings) == {"Scribe": [(1, "scribe-2"), (2, "scribe-10")]}
        (tmp_path / "rules/scribe-2.yml").unlink()
        daemon.reload_rules()
        assert shown(settings) == {}
    finally:
        daemon.stop()


def test_series_that_tahrir_refuses_keep_no_daemon_from_starting(
    shared_database: Databases, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = with_a_series(shared_database, tmp_path / "rules")
    with engine(settings.tahrir_url).begin() as connection:
        connection.execute(sa.insert(Team.__table__).values(id="by-hand", name=TEAM))
    daemon = Daemon(settings, FakePublisher())
    try:
        daemon.start()
        assert daemon.started.result(60) is None
    finally:
        daemon.stop()
    assert "Cannot tell tahrir of series" in caplog.text
