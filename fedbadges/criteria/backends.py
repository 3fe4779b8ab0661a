"""The criteria backends that are installed, found by their entry points."""

import importlib.metadata

from fedbadges.config.settings import Settings
from fedbadges.rules.criteria import Backend, Backends
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

_GROUP = "fedbadges.criteria"


def load_backends(settings: Settings) -> Backends:
    """Create every criteria backend that is installed, by name; log those that fail."""
    made: dict[str, Backend] = {}
    for entry in importlib.metadata.entry_points(group=_GROUP):
        try:
            made[entry.name] = entry.load()(settings)
        except Exception as error:  # somebody else's code; rules without it must not suffer
            log.error("Could not load a criteria backend", backend=entry.name, error=error)
    return made
