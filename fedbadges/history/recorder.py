"""Storing messages in datanommer, where that is the daemon's job."""

from __future__ import annotations

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.errors import Stopped
from fedbadges.history.history import History
from fedbadges.messages import Message
from fedbadges.retry import OutageRetry
from fedbadges.util.logs import get_logger
from fedbadges.util.text import error_kind
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)


class Recorder:
    """Stores messages with the names that they concern, and waits during an outage."""

    def __init__(self, history: History, usernames: FedmsgUsernames, outages: OutageRetry) -> None:
        self._history = history
        self._usernames = usernames
        self._outages = outages
        self._throttle = Throttle()

    def record(self, message: Message) -> None:
        """Store a message, or log that datanommer cannot hold it; raise Stopped in an outage."""
        try:
            self._outages.call(lambda: self._store(message))
        except Stopped:
            raise
        except Exception as error:
            if self._throttle.allows(error_kind(error)):
                log.error("Could not store a message", msg_id=message.msg_id, error=error)

    def _store(self, message: Message) -> None:
        users, packages = self._usernames.users(message), self._usernames.packages(message)
        self._history.record(message, users, packages, self._usernames.agent(message))
