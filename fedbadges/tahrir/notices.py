"""What is announced on the bus; topics and bodies are those of tahrir_api."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tahrir_api.model import Person


@dataclass(frozen=True)
class Notice:
    """An announcement for the bus."""

    topic: str
    body: dict[str, Any]


def award_notice(badge: Any, person: Any) -> Notice:
    """Announce that a person was awarded a badge, as tahrir_api's ``add_assertion`` does."""
    body = {
        "badge": {
            "name": badge.name,
            "description": badge.description,
            "image_url": badge.image,
            "badge_id": badge.id,
        },
        "user": {"username": person.nickname, "badges_user_id": person.number},
    }
    return Notice("badge.award", body)


def rank_notice(person: Person, old_rank: int | None) -> Notice:
    """Announce a person's new rank, as tahrir_api's ``adjust_ranks`` does."""
    return Notice("person.rank.advance", {"person": person.as_dict(), "old_rank": old_rank})
