"""A schema of messages on fedora-messaging, which names whom they concern.

Without one, the users of a message are those that its headers or a plugin for fedmsg name, and
nobody is its agent, who is ``%(username)s`` in a rule.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fedora_messaging.message import Message


class LogV1(Message):
    """Somebody said something from the shell."""

    topic = "logger.log"
    body_schema: ClassVar[dict[str, Any]] = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "object",
        "required": ["log", "user"],
        "properties": {"log": {"type": "string"}, "user": {"type": "string"}},
    }

    @property
    def agent_name(self) -> str:
        return str(self.body.get("user", ""))

    @property
    def usernames(self) -> list[str]:
        return [self.agent_name] if self.agent_name else []
