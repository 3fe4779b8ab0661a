"""The bus, for commands that publish what they do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fedbadges.cli.errors import CannotRun

if TYPE_CHECKING:
    from fedbadges.buses.fedmsg.publisher import Publisher
    from fedbadges.config.settings import Settings

#: Seconds to wait for an address to publish from.
_TIMEOUT = 10.0

_HINT = "Every publisher needs an address of its own under 'fedbadges.<host>' in 'endpoints'"
_NO_CHANGE = "Nothing was changed; --no-publish awards without publishing"


@contextmanager
def publishing(settings: Settings) -> Iterator[Publisher]:
    """Yield a publisher; raise CannotRun if nothing can be published."""
    from fedbadges.buses.fedmsg.publisher import Publisher

    if not settings.fedmsg.get("zmq_enabled", True):
        raise CannotRun("'zmq_enabled' is False: only a hub can publish on such a bus", _NO_CHANGE)
    publisher = Publisher(settings.fedmsg)
    publisher.start()
    try:
        if publisher.trouble(_TIMEOUT) is not None:  # the publisher has logged it
            raise CannotRun(_HINT, _NO_CHANGE)
        yield publisher
    finally:
        publisher.stop()
