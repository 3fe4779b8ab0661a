"""Rules about badges that somebody holds, and what tahrir has of them."""

from collections.abc import Iterable

from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule
from support.histories import awarded
from support.rules import rule


def holding(badges: str, more: str = "") -> str:
    """Return criteria that somebody holds badges, and perhaps a trigger."""
    return f"criteria: {{tahrir: {{holds: {badges}}}}}\n{more}"


def tagged(tags: str, least: int) -> str:
    """Return criteria that somebody holds so many badges with tags."""
    condition = f"{{greater than or equal to: {least}}}"
    return f"criteria: {{tahrir: {{badges with tags: {tags}, condition: {condition}}}}}\n"


def load(settings: Settings | Backends, bodies: dict[str, str]) -> list[Rule]:
    """Return rules by the names of their badges."""
    backends = load_backends(settings) if isinstance(settings, Settings) else settings
    return [
        loaded
        for name, body in bodies.items()
        for loaded in load_text(rule(name, body).encode(), f"{name}.yml", backends)
    ]


def pairs(settings: Settings) -> set[tuple[str, str]]:
    """Return who holds what, as (person, badge id)."""
    return {(name, badge) for badge, name, _ in awarded(settings)}


def of(username: str, badges: Iterable[str]) -> set[tuple[str, str]]:
    """Return the same for the badges of one person, as of letters."""
    return {(username, badge) for badge in badges}
