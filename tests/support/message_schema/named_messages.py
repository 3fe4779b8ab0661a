"""A schema of messages on fedora-messaging that name their users, their agent and packages.

It stands for the schemas that applications have; processes that have this folder on their path
find it by its entry point.
"""

from typing import Any

from fedora_messaging.message import Message


class NamedMessage(Message):
    """Has whatever names its headers have; a broken one fails for its users."""

    topic = "logger.log"

    @property
    def usernames(self) -> list[str]:
        if self._listed("test_broken"):
            raise KeyError("users")
        return self._listed("test_users")

    @property
    def packages(self) -> list[str]:
        return self._listed("test_packages")

    @property
    def agent_name(self) -> str | None:
        return (self._listed("test_users") or [None])[0]

    def _listed(self, header: str) -> list[str]:
        # fedora-messaging asks before there are any.
        headers = self._headers if hasattr(self, "_properties") else {}
        text = str(headers.get(header, ""))
        return text.split(",") if text else []


def named(topic: str, body: dict[str, Any] | None = None, *users: str, **headers: Any) -> Message:
    """Return a message that was sent now and names users."""
    made = NamedMessage(topic=topic, body=body or {}, headers={"test_users": ",".join(users)})
    made._headers.update(fedora_messaging_schema="test.named", **headers)
    return made
