"""``fedbadges backfill --groups``: badges for those who are in a group now."""

from __future__ import annotations

from collections.abc import Mapping
from operator import length_hint
from typing import TYPE_CHECKING

from fedbadges.cli.backfill.awarding import award_all, publish_badges
from fedbadges.cli.change import unknown_badge
from fedbadges.cli.deployment import Deployment
from fedbadges.cli.errors import CannotRun, reporting_errors

if TYPE_CHECKING:
    from fedbadges.config.settings import Settings
    from fedbadges.replay.backfill import BackfillResult, DueAward
    from fedbadges.rules.rule import Badge
    from fedbadges.tahrir.database import Tahrir

#: The key that says which badges.
_KEY = "badges.group_badges"


def backfill_groups(deployment: Deployment, *, award: bool, silent: bool) -> BackfillResult:
    """Award the badges of groups, or only find out which; raise CannotRun.

    Nothing is awarded before FASJSON has told who is in every group.
    """
    from fedbadges.criteria.backends import load_backends
    from fedbadges.replay.backfill import BackfillResult, not_held
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    if not settings.group_badges:
        raise CannotRun(f"There are no badges of groups: '{_KEY}' is not set")
    tahrir = Tahrir(settings, announce=not silent)
    result = BackfillResult(award, following=deployment.untriggered(load_backends(settings)))
    new = _badges_to_create(deployment, tahrir)
    with reporting_errors("Stopped; nothing was awarded"):
        dues = _ask_fasjson(settings, new, result)
    if not award:
        result.dues += not_held(dues, tahrir)
        return result
    with deployment.publishing(tahrir, silent=silent) as outbox:
        publish_badges(tahrir, new.values())
        left = iter(dues)
        award_all(
            tahrir,
            outbox,
            result,
            left,
            lambda: (len(dues) - length_hint(left), len(dues)),
            "Awarding badges of groups",
        )
    return result


def _badges_to_create(deployment: Deployment, tahrir: Tahrir) -> Mapping[str, Badge]:
    """Return the badges that tahrir lacks and rules have; raise CannotRun for other ones."""
    from fedbadges.cli.award.requests import badges_of_rules

    settings = deployment.settings
    known = tahrir.badges()
    lacking = {each.badge for each in settings.group_badges if each.badge not in known}
    rules = badges_of_rules(deployment) if lacking else {}
    wrong = []
    for number, each in enumerate(settings.group_badges):
        place = _locate(settings, number, "badge")
        if not known.get(each.badge, True):
            wrong.append(f"{place}: '{each.badge}' is a legacy badge, which cannot be awarded")
        elif each.badge not in known and each.badge not in rules:
            why = unknown_badge(each.badge, {*known, *rules}, " and no rule gives it")
            wrong.append(f"{place}: {why}")
    if wrong:
        raise CannotRun(*wrong)
    return {badge: rules[badge] for badge in lacking}


def _ask_fasjson(
    settings: Settings, badges: Mapping[str, Badge], result: BackfillResult
) -> list[DueAward]:
    """Return an award for everybody in the groups; the result has the groups that are missing."""
    from fedbadges.accounts.service import Fasjson
    from fedbadges.config.values import FASJSON_MISSING, has_fasjson_client
    from fedbadges.replay.group_badges import due_awards, find_people

    if not has_fasjson_client():
        raise CannotRun(FASJSON_MISSING)
    people = find_people(settings.group_badges, Fasjson(settings).people_in)
    dues: list[DueAward] = []
    for number, each in enumerate(settings.group_badges):
        found = people[each.group, each.memberships]
        if found is None:
            place = _locate(settings, number, "group")
            result.missing.append(f"{place}: FASJSON has no group '{each.group}'")
        else:
            dues += due_awards(each, found, settings, badges)
    return dues


def _locate(settings: Settings, number: int, key: str) -> str:
    from fedbadges.config.reader import ConfigReader

    return ConfigReader(settings.fedmsg).locate(key, (_KEY,), number)
