"""What backfill awards for a history, where nobody holds anything yet."""

from pathlib import Path

from fedbadges.config.settings import Settings
from fedbadges.replay.replay import Replay
from fedbadges.rules.loader import load_directory
from support.builders import make_settings
from support.databases import Databases

Pairs = set[tuple[str, str]]
"""People and badges."""


def backfilled(databases: Databases, rules: Path) -> Pairs:
    """Return the awards of a backfill of all valid rules in a directory."""
    return replayed(make_settings(databases, rules))


def replayed(settings: Settings) -> Pairs:
    """Return the same for a deployment with these settings."""
    replay = Replay(settings)
    loaded = load_directory(settings.rules_directory, replay.backends)
    return {(each.username, each.rule.badge.id) for each in replay.run(loaded.rules, measure=False)}
