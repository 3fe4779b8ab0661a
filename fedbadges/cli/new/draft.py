"""What a new rule is to say."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from tahrir_api.utils import convert_name_to_id

from fedbadges.cli.errors import CannotRun
from fedbadges.rules.templates import PATH

#: A single value that a message can have, and a rule can compare with.
Scalar = str | int | float | bool

#: Where templates may begin, of what a test can have in a message.
_ROOTS = ("msg", "username")

#: In a test, this stands for whoever sends the message.
SENDER = "%(from)s"


@dataclass(frozen=True)
class Draft:
    """A rule that awards a badge for the message number ``count`` of a topic that has ``fields``.

    ``recipient`` is the path of who gets it, and ``named`` what a message has there in which
    SENDER stands for one name. ``proposed`` are fields that the rule may have, and has as comments.
    """

    name: str
    topic: str
    recipient: str
    description: str
    creator: str
    discussion: str
    image_url: str
    tags: tuple[str, ...] = ()
    count: int = 1
    fields: Mapping[str, Scalar] = field(default_factory=dict)
    proposed: Mapping[str, Scalar] = field(default_factory=dict)
    whole_topic: str = ""
    named: Any = SENDER

    @property
    def badge_id(self) -> str:
        """Return the id of the badge."""
        badge_id: str = convert_name_to_id(self.name)
        return badge_id


def parse_path(text: str) -> str:
    """Return a dotted path, which may be written as a template; raise CannotRun."""
    found = re.fullmatch(r"\s*(?:%\()?\s*(.*?)\s*(?:\)s)?\s*", text)
    path = found[1] if found else text
    if re.fullmatch(PATH, path) is None or not path.isprintable():
        raise CannotRun(f"{text!r} is not the path of a field, such as 'msg.user'")
    if path.partition(".")[0] not in _ROOTS:
        raise CannotRun(f"{path!r} begins with none of {', '.join(_ROOTS)}: try 'msg.{path}'")
    return path


def parse_field(text: str) -> tuple[str, Scalar]:
    """Return path and value of ``path=value``, with the value's type in YAML.

    Raises CannotRun.
    """
    path, equals, spelled = text.partition("=")
    if not equals:
        raise CannotRun(f"{text!r} is not like 'msg.minor=0'")
    path = parse_path(path)
    if path.partition(".")[0] != "msg" or path == "msg":
        raise CannotRun(f"{path!r} is not below 'msg', as in 'msg.minor=0'")
    try:
        value = yaml.safe_load(spelled)
    except yaml.YAMLError:
        value = spelled
    if isinstance(value, float) and not math.isfinite(value):
        value = spelled
    if isinstance(value, (bool, int, float)):
        return path, value
    if isinstance(value, (list, dict)) and spelled.lstrip()[:1] not in ("[", "{"):
        value = spelled  # such as a title with a colon in it
    if isinstance(value, (list, dict)) or value is None:
        raise CannotRun(f"{text!r}: a value is text, a number, or true or false")
    if not spelled.isprintable():
        raise CannotRun(f"{text!r}: the value has what cannot be printed")
    return path, value if isinstance(value, str) else spelled.strip()
