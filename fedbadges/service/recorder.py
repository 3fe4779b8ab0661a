"""Messages into datanommer, where the daemon itself is to store them."""

from __future__ import annotations

import logging

from fedbadges.engine.recipients import Usernames
from fedbadges.errors import Stopped
from fedbadges.history.history import History
from fedbadges.messages import Message
from fedbadges.retry import OutageRetry
from fedbadges.util.text import describe_error, error_kind
from fedbadges.util.throttle import Throttle

log = logging.getLogger(__name__)


class Recorder:
    """Stores messages with the names that they concern, and waits while the database is away."""

    def __init__(self, history: History, usernames: Usernames, patience: OutageRetry) -> None:
        self._history = history
        self._usernames = usernames
        self._patience = patience
        self._failures = Throttle()

    def record(self, message: Message) -> None:
        """Store a message; raises Stopped. One that datanommer cannot hold is logged."""
        try:
            self._patience.call(lambda: self._store(message))
        except Stopped:
            raise
        except Exception as error:  # datanommer cannot hold it; rules may still be about it
            if self._failures.allows(error_kind(error)):
                log.error("Could not store %r: %s", message.msg_id, describe_error(error))

    def _store(self, message: Message) -> None:
        users, packages = self._usernames.users(message), self._usernames.packages(message)
        self._history.record(message, users, packages, self._usernames.agent(message))
