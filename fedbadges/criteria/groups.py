"""The criteria backend ``fasjson``: who is in which group."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from fedbadges.accounts.service import NAME, Fasjson
from fedbadges.config.settings import Settings
from fedbadges.config.values import FASJSON_MISSING, has_fasjson_client
from fedbadges.errors import Place
from fedbadges.rules.criteria import Question
from fedbadges.rules.grammar import Schema, combined, mapping_of
from fedbadges.rules.operators import Check, parse_combined
from fedbadges.rules.parsing import Problems, as_text, only_entry
from fedbadges.rules.yaml_document import MappingNode, Node

#: Returns True if an account is in a group; raises Unavailable while nobody answers.
IsMember = Callable[[str, str], bool]


@dataclass(frozen=True)
class Member:
    """Holds if the candidate is in a group."""

    group: str
    is_member: IsMember
    place: Place = field(compare=False)

    def holds(self, subject: Question) -> bool:
        """Return the answer, asked once for all rules that a message triggers."""
        name = subject.recipient
        if name is None:
            return False
        key = ("fasjson", self.group, name)
        found = subject.once(key, lambda: self.is_member(self.group, name))
        subject.tell(f"{name} in {self.group}", found)
        return found


@dataclass(frozen=True)
class Membership:
    """A criterion over the groups of the candidate: one, or operators over several."""

    groups: Check[Question]

    needs_history = False
    names_recipient = True

    def holds(self, subject: Question) -> bool:
        """Return True if the candidate is in the groups."""
        return self.groups.holds(subject)


class Groups:
    """The criteria backend ``fasjson``; ``is_member`` answers in place of FASJSON."""

    #: What a rule may say, for editors.
    schema: ClassVar[Schema] = {
        "description": "What FASJSON, the accounts system, says of the candidate.",
        **mapping_of({"group": {"description": "Is in this group.", "$ref": "#/$defs/group"}}),
        "$defs": {
            "group": combined({"type": "string", "pattern": rf"^\s*{NAME.pattern}\s*$"}, "group")
        },
    }

    def __init__(self, settings: Settings, is_member: IsMember | None = None) -> None:
        self._settings = settings
        self._is_member = is_member or Fasjson(settings).is_member

    def parse(self, node: Node, problems: Problems) -> Membership | None:
        """Parse ``group``; return None if anything is wrong, or FASJSON is not configured."""
        before = len(problems)
        if self._settings.fasjson_url is None:
            problems.lack(node.place, "'fasjson' needs the setting 'badges.fasjson.url'")
        elif not has_fasjson_client():
            problems.lack(node.place, f"'fasjson' cannot be asked: {FASJSON_MISSING}")
        entry = only_entry(node, ["group"], "fasjson criteria", problems)
        groups = None if entry is None else self._parse_groups(entry[1], problems)
        if groups is None or len(problems) > before:
            return None
        return Membership(groups)

    def _parse_groups(self, node: Node, problems: Problems) -> Check[Question] | None:
        if isinstance(node, MappingNode):
            return parse_combined(node, "a 'group'", {}, self._parse_groups, problems)
        name = as_text(node, "a group", problems)
        if name is None:
            return None
        group = name.text.strip()
        if not NAME.fullmatch(group):
            problems.add(node.place, f"'{group}' cannot be the name of a group")
            return None
        return Member(group, self._is_member, name.place)
