"""How long awards take, and what the databases are asked meanwhile."""

import time

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.databases.queries import measure_queries
from fedbadges.messages import Message
from fedbadges.util.instruments import RECEIVED_TO_AWARD, SENT_TO_AWARD


def observe_award(message: Message) -> None:
    """Observe how long an award took that was committed just now, because of a message."""
    # Some senders' clocks are fast.
    SENT_TO_AWARD.observe(max(time.time() - message.sent_seconds, 0.0))
    RECEIVED_TO_AWARD.observe(time.monotonic() - message.received)


def measure_databases(settings: Settings) -> None:
    """Measure what the databases are asked from now on, where somebody may look at it."""
    if settings.metrics_address is None:
        return
    for url, name in ((settings.tahrir_url, "tahrir"), (settings.history_url, "datanommer")):
        for made in (engine(url), reader(url, settings.prepare_statements)):
            measure_queries(made, name)
