"""A plugin for ``fedmsg.meta`` that names the users of messages.

fedmsg itself knows the users of ``logger`` messages only. Without a plugin like this one, a rule
without a recipient awards nothing, and a history that fedbadges records has no users to filter by.
Fedora's own is fedmsg_meta_fedora_infrastructure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fedmsg.meta.base import BaseProcessor


class Processor(BaseProcessor):
    """Base class of the processors of all kinds of messages.

    ``agent_path`` says where to find who did it, ``other_paths`` where to find whom else it is
    about; both are dotted and begin within ``msg``. fedmsg refuses a processor that lacks a name,
    a description, a link, the documentation's address or the name of its subject.
    """

    __description__ = "messages like those of Fedora's services"
    __link__ = "https://fedoraproject.org/"
    __docs__ = "https://fedora-fedmsg.readthedocs.io/"
    __obj__ = "Message"

    agent_path = ""
    other_paths: tuple[str, ...] = ()

    def agent(self, msg: Mapping[str, Any], **config: Any) -> str | None:
        return next(iter(_names(_look_up(msg.get("msg"), self.agent_path))), None)

    def usernames(self, msg: Mapping[str, Any], **config: Any) -> set[str]:
        return {
            name
            for path in (self.agent_path, *self.other_paths)
            for name in _names(_look_up(msg.get("msg"), path))
        }


class BodhiProcessor(Processor):
    __name__ = "bodhi"
    agent_path = "agent"
    other_paths = ("update.submitter", "comment.author")


class FasProcessor(Processor):
    __name__ = "fas"
    agent_path = "agent"
    other_paths = ("user",)


class FedbadgesProcessor(Processor):
    __name__ = "fedbadges"
    other_paths = ("user.username", "person.nickname")


class FedocalProcessor(Processor):
    __name__ = "fedocal"
    agent_path = "agent"
    other_paths = ("meeting.meeting_manager",)


class GitProcessor(Processor):
    __name__ = "git"
    agent_path = "commit.username"


class InfragitProcessor(GitProcessor):
    __name__ = "infragit"


class MeetbotProcessor(Processor):
    __name__ = "meetbot"
    agent_path = "owner"
    other_paths = ("attendees",)


class PagureProcessor(Processor):
    __name__ = "pagure"
    # pagure's topics begin otherwise than Fedora's, whatever `topic_prefix` is configured.
    topic_prefix_re = r"io\.pagure\.(dev|stg|prod)"
    agent_path = "agent"
    other_paths = ("authors",)


class PlanetProcessor(Processor):
    __name__ = "planet"
    agent_path = "username"


class WikiProcessor(Processor):
    __name__ = "wiki"
    agent_path = "user"


def _look_up(value: Any, path: str) -> Any:
    """Return the value at a dotted path; None if there is none, since anybody may send anything."""
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _names(value: Any) -> Iterable[str]:
    """Return the names in a text, a list, the keys of an object, or objects with a ``name``."""
    if isinstance(value, Mapping):
        value = [value["name"]] if "name" in value else list(value)
    for each in value if isinstance(value, list) else [value]:
        name = each.get("name") if isinstance(each, Mapping) else each
        if isinstance(name, str) and name:
            yield name.lower()
