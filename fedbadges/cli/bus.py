"""The bus, for commands that say on it what they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fedbadges.cli.errors import CannotRun

if TYPE_CHECKING:
    from fedbadges.buses.fedmsg.publisher import Publisher
    from fedbadges.config.settings import Settings

#: Seconds to find an address to publish from.
_PATIENCE = 10.0

_MEND = "Whatever publishes takes an address of its own under 'fedbadges.<host>' in 'endpoints'"
_NOTHING = "Nothing is changed; with --no-publish awards are made and the bus not told"


@contextmanager
def publishing(settings: Settings) -> Iterator[Publisher]:
    """Give what can publish; raises CannotRun where it cannot."""
    # Not at the top: completion and --help want to be fast.
    from fedbadges.buses.fedmsg.publisher import Publisher

    if not settings.fedmsg.get("zmq_enabled", True):
        raise CannotRun(["'zmq_enabled' is False: only a hub can publish on such a bus", _NOTHING])
    publisher = Publisher(settings.fedmsg)
    publisher.start()
    try:
        if publisher.trouble(_PATIENCE) is not None:  # which it has said itself
            raise CannotRun([_MEND, _NOTHING])
        yield publisher
    finally:
        publisher.stop()
