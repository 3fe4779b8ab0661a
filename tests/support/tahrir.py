"""Two badges of tahrir, and short ways to award them and to look at what came of it."""

import datetime
import math
import threading
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Person

from fedbadges.messages import Position
from fedbadges.rules.rule import Badge
from fedbadges.tahrir import revoking
from fedbadges.tahrir.awarding import Award, AwardResult, ByHand
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.revoking import RevokeRequest, RevokeResult

EDITOR = Badge(
    id="editor",
    name="Editor",
    description="Edited a page",
    image_url="https://badges.example.org/pngs/editor.png",
    discussion="https://badges.example.org/discussion",
    creator="alice",
)
TAGGER = replace(EDITOR, id="tagger", name="Tagger", tags=("content", "tagging"))
BOTH = ("editor", "tagger")

DAY = datetime.datetime(2014, 10, 3, 12, 30, 5)
LINK = "https://example.org/id?id=1"


def badges_of(api: TahrirDatabase, email: str) -> list[str]:
    api.session.rollback()
    return sorted(each.badge_id for each in api.get_assertions_by_email(email) or [])


def opt_out(api: TahrirDatabase, email: str) -> None:
    api.get_person(email).opt_out = True
    api.session.commit()


def award(tahrir: Tahrir, badge: str, username: str, link: str | None = None) -> AwardResult | None:
    """Awards one badge; returns None where it was held already, or the person has opted out."""
    result = tahrir.award([Award(badge, username, link)])
    for _, error in result.refused:
        raise error
    return result.given[0] if result.given else None


def at_once(ask: Any, times: int = 3) -> list[Any]:
    """Does the same in several threads at the same moment; returns what each got."""
    got: list[Any] = []

    def work() -> None:
        start.wait()
        try:
            got.append(ask())
        except Exception as error:
            got.append(error)

    start = threading.Barrier(times)
    threads = [threading.Thread(target=work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def due(username: str, badge: str = "editor", day: int = 0) -> Award:
    """Returns an award as of a day of long ago."""
    return Award(badge, username, LINK, DAY + datetime.timedelta(days=day))


def delete_badge(api: TahrirDatabase, badge_id: str) -> None:
    """Delete a badge with all its awards, as tahrir's administrators do."""
    api.session.rollback()
    api.session.execute(sa.delete(Assertion).where(Assertion.badge_id == badge_id))
    api.session.delete(api.get_badge(badge_id))
    api.session.commit()


def ranks(api: TahrirDatabase) -> dict[str, int | None]:
    api.session.rollback()
    return {person.nickname: person.rank for person in api.session.scalars(sa.select(Person))}


def at(when: datetime.datetime, number: float = math.inf) -> Position:
    """Returns the position of a message that was sent then, and is not stored."""
    return when, number


def revoke(
    tahrir: Tahrir,
    badge: str,
    username: str,
    *,
    for_good: bool = False,
    create: bool = False,
    last_number: int | None = None,
) -> RevokeResult:
    """Revokes a badge, as root does."""
    by_hand = ByHand("root", "by mistake")
    return tahrir.revoke(RevokeRequest(badge, username, by_hand, for_good, create, last_number))


def revoke_as_of(
    tahrir: Tahrir,
    badge: str,
    username: str,
    when: datetime.datetime,
    *,
    for_good: bool = False,
    last_number: int | None = None,
) -> None:
    """Has somebody hold a badge and lose it, both at a time of long ago, naive UTC."""
    tahrir.award([Award(badge, username, issued_on=when)])
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr(revoking, "naive_utc", lambda seconds: when)
        revoke(tahrir, badge, username, for_good=for_good, last_number=last_number)
