"""Badges as tahrir shows them, made and changed to what their rules say."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Badge as BadgeRow

from fedbadges.rules.rule import Badge
from fedbadges.util.text import quoted

log = logging.getLogger(__name__)


def refused_among(session: Session, wanted: list[Badge]) -> dict[str, str]:
    """Tell which badges have the name of another one, as only somebody's hand can have made it."""
    names = [badge.name for badge in wanted]
    rows = session.execute(select(BadgeRow.name, BadgeRow.id).where(BadgeRow.name.in_(names)))
    owners = {row.name: row.id for row in rows}
    return {
        badge.id: f"tahrir has a badge of this name under another id, {quoted(owner)}"
        for badge in wanted
        if (owner := owners.get(badge.name, badge.id)) != badge.id
    }


def publish_badge(api: TahrirDatabase, badge: Badge, row: BadgeRow | None, issuer_id: int) -> None:
    """Make tahrir show a badge as its rule describes it; ``row`` is what it has of it."""
    if row is None:
        api.add_badge(
            name=badge.name,
            image=badge.image_url,
            desc=badge.description,
            criteria=badge.discussion,
            issuer_id=issuer_id,
            tags=list(badge.tags or ()),
            badge_id=badge.id,
        )
        return
    changes = _changes(badge, row)
    if changes:
        log.info("The badge %s changed: %s", badge.id, ", ".join(sorted(changes)))
        api.update_badge(badge.id, **changes)


def _changes(badge: Badge, row: BadgeRow) -> dict[str, Any]:
    wanted = {
        "name": badge.name,
        "image": badge.image_url,
        "description": badge.description,
        "criteria": badge.discussion,
    }
    changes: dict[str, Any] = {
        key: value for key, value in wanted.items() if getattr(row, key) != value
    }
    # Where a rule says nothing of tags, those that were set on the web site stay.
    if badge.tags is not None and sorted(tag.name for tag in row.tags) != list(badge.tags):
        changes["tags"] = list(badge.tags)
    return changes
