"""Series of badges in tahrir, with a milestone for each badge."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from tahrir_api.model import Badge as BadgeRow
from tahrir_api.model import Milestone, Series, Team, series_tags
from tahrir_api.utils import convert_name_to_id

from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: The team, by its id and name, whose series are those of fedbadges; tahrir wants one for each.
TEAM = "fedbadges"


@dataclass(frozen=True)
class BadgeSeries:
    """Badges that follow one another, the easiest first."""

    name: str
    description: str
    badge_ids: tuple[str, ...]

    @property
    def id(self) -> str:
        """Return tahrir's id for it."""
        return str(convert_name_to_id(self.name))


def publish_series(session: Session, wanted: Sequence[BadgeSeries]) -> None:
    """Make tahrir have these series, and no others of the team of fedbadges.

    One by the same name that somebody has made stays as it is. Badges that tahrir does not have are
    left out.
    """
    if session.get(Team, TEAM) is None:
        if not wanted:
            return
        session.add(Team(id=TEAM, name=TEAM))
        session.flush()
    badge_ids = set(session.scalars(select(BadgeRow.id)))
    known = {row.id: row for row in session.scalars(select(Series))}
    names = {row.name: row.id for row in known.values()}
    kept: set[str] = set()
    for each in wanted:
        row = known.get(each.id)
        if names.get(each.name, each.id) != each.id or (row is not None and row.team_id != TEAM):
            log.warning(
                "Tahrir has a series of this name that fedbadges did not make", name=each.name
            )
            continue
        if row is None:
            row = Series(id=each.id, name=each.name, description=each.description, team_id=TEAM)
            session.add(row)
            session.flush()
        elif (row.name, row.description) != (each.name, each.description):
            row.name, row.description = each.name, each.description
        kept.add(each.id)
        _set_milestones(session, each.id, [id_ for id_ in each.badge_ids if id_ in badge_ids])
    outdated = {row.id for row in known.values() if row.team_id == TEAM} - kept
    for statement in (
        delete(Milestone).where(Milestone.series_id.in_(outdated)),
        delete(series_tags).where(series_tags.c.series_id.in_(outdated)),
        delete(Series).where(Series.id.in_(outdated)),
    ):
        session.execute(statement)


def _set_milestones(session: Session, series_id: str, badge_ids: Sequence[str]) -> None:
    """Make the milestones of a series these badges, from position 1 on; delete all others."""
    wanted = {(position, badge_id) for position, badge_id in enumerate(badge_ids, 1)}
    rows = session.scalars(select(Milestone).where(Milestone.series_id == series_id)).all()
    there: set[tuple[int, str]] = set()
    for row in rows:
        key = (row.position, row.badge_id)
        if key in wanted and key not in there:
            there.add(key)
        else:
            session.delete(row)
    session.flush()
    for position, badge_id in sorted(wanted - there):
        session.add(Milestone(position=position, badge_id=badge_id, series_id=series_id))
