"""The criteria backends that are installed, found by their entry points."""

from __future__ import annotations

import importlib.metadata
import logging

from fedbadges.config.settings import Settings
from fedbadges.rules.criteria import Backend, Backends

log = logging.getLogger(__name__)

_GROUP = "fedbadges.criteria"


def load_backends(settings: Settings) -> Backends:
    """Make every criteria backend that is installed, by name; those that fail are logged."""
    made: dict[str, Backend] = {}
    for entry in importlib.metadata.entry_points(group=_GROUP):
        try:
            made[entry.name] = entry.load()(settings)
        except Exception as error:  # somebody else's code; rules without it are not to suffer
            log.error("The criteria backend %r cannot be used: %s", entry.name, error)
    return made
