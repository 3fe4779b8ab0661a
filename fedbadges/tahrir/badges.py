"""Badges as tahrir shows them, created and changed to what their rules say."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, or_, select
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Badge as BadgeRow
from tahrir_api.model import Issuer as IssuerRow
from tahrir_api.model import Tag, badge_tags

from fedbadges.config.settings import Issuer
from fedbadges.rules.rule import Badge
from fedbadges.util.logs import get_logger
from fedbadges.util.text import quoted

log = get_logger(__name__)

_BADGES = BadgeRow.__table__.c
_COLUMNS = [_BADGES[name] for name in ("id", "name", "image", "description", "criteria", "legacy")]

#: From how many badges on it is faster to read all there are than to name them.
_MANY = 100


@dataclass(frozen=True)
class Unawardable:
    """Which badges nobody can be awarded: tahrir's legacy ones, and those it refuses, with why."""

    legacy: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


def publish_badges(
    api: TahrirDatabase, wanted: Sequence[Badge], issuer: Issuer
) -> tuple[Unawardable, list[str]]:
    """Create the badges that tahrir lacks, and change the others.

    Returns what cannot be awarded, and the ids of the badges that were created.
    """
    issuer_id = _issuer_id(api, issuer)
    rows = _rows(api, wanted)
    unawardable = _unawardable(wanted, rows)
    known = {row.id: row for row in rows}
    tags = _tags(api, wanted)
    created: list[str] = []
    for badge in wanted:
        if badge.id in unawardable.refused:
            continue
        if badge.id in known:
            _change(api, badge, known[badge.id], tags[badge.id])
            continue
        api.add_badge(
            name=badge.name,
            image=badge.image_url,
            desc=badge.description,
            criteria=badge.discussion,
            issuer_id=issuer_id,
            tags=list(badge.tags or ()),
            badge_id=badge.id,
        )
        created.append(badge.id)
    return unawardable, created


def find_unawardable(api: TahrirDatabase, wanted: Sequence[Badge]) -> Unawardable:
    """Return which of these badges nobody can be awarded.

    One that has the name of another, as only somebody's hand can have made it, is refused.
    """
    return _unawardable(wanted, _rows(api, wanted))


def _unawardable(wanted: Sequence[Badge], rows: Sequence[Row[Any]]) -> Unawardable:
    ids = {badge.id for badge in wanted}
    owners = {row.name: row.id for row in rows}
    return Unawardable(
        frozenset(row.id for row in rows if row.legacy and row.id in ids),
        {
            badge.id: f"tahrir has a badge of this name under another id, {quoted(owner)}"
            for badge in wanted
            if (owner := owners.get(badge.name, badge.id)) != badge.id
        },
    )


def _rows(api: TahrirDatabase, wanted: Sequence[Badge]) -> Sequence[Row[Any]]:
    """Return the rows of all badges that have the id or the name of one of these, or more rows.

    Objects of tahrir_api would take several times as long, which thousands of rules feel.
    """
    statement = select(*_COLUMNS)
    if len(wanted) < _MANY:
        ids, names = [badge.id for badge in wanted], [badge.name for badge in wanted]
        statement = statement.where(or_(_BADGES.id.in_(ids), _BADGES.name.in_(names)))
    return list(api.session.connection().execute(statement))


def _tags(api: TahrirDatabase, wanted: Sequence[Badge]) -> dict[str, list[str]]:
    """Return the tags that badges have, of those whose rules say something of tags."""
    ids = [badge.id for badge in wanted if badge.tags is not None]
    tags = Tag.__table__
    statement = select(badge_tags.c.badge_id, tags.c.name).join(
        tags, tags.c.id == badge_tags.c.tag_id
    )
    if len(ids) < _MANY:
        statement = statement.where(badge_tags.c.badge_id.in_(ids))
    found: dict[str, list[str]] = defaultdict(list)
    for badge_id, name in api.session.connection().execute(statement):
        found[badge_id].append(name)
    return found


def _issuer_id(api: TahrirDatabase, issuer: Issuer) -> int:
    # Names are unique there: an issuer whose origin was changed by hand stays who it is.
    known = api.session.scalar(select(IssuerRow.id).where(IssuerRow.name == issuer.name))
    if known is None:
        known = api.add_issuer(issuer.origin, issuer.name, issuer.org, issuer.contact)
    return int(known)


def _change(api: TahrirDatabase, badge: Badge, row: Row[Any], tags: list[str]) -> None:
    wanted: dict[str, Any] = {
        "name": badge.name,
        "image": badge.image_url,
        "description": badge.description,
        "criteria": badge.discussion,
    }
    changes = {key: value for key, value in wanted.items() if getattr(row, key) != value}
    # Where a rule says nothing of tags, those that were set on the web site stay.
    if badge.tags is not None and sorted(tags) != list(badge.tags):
        changes["tags"] = list(badge.tags)
    if changes:
        log.info("Changed badge", badge=badge.id, changed=sorted(changes))
        api.update_badge(badge.id, **changes)
