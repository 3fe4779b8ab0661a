"""The criteria backend ``attended``: the candidate is on the list of participants.

For each event there is a file with a name on each line, in the directory that the configuration
key ``attendance.directory`` names. A rule asks for one of them: ``attended: {event: flock-2014}``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fedbadges.config.settings import Settings
from fedbadges.errors import Unavailable
from fedbadges.rules.criteria import Question
from fedbadges.rules.parsing import Problems, as_text, only_entry
from fedbadges.rules.yaml_document import Node


@dataclass(frozen=True)
class Attended:
    """The criterion of one rule: did the candidate take part?"""

    names: Path

    #: It does not look at past messages, so no message has to be stored before.
    needs_history = False
    #: It is asked for each candidate, who then is ``subject.recipient``.
    names_recipient = True

    def holds(self, subject: Question) -> bool:
        # Read once for a message, however many candidates and rules it has.
        names = subject.once(self, self._read)
        # Nobody hears it but those who ask why: `fedbadges explain`.
        subject.tell("people on the list", len(names))
        return subject.recipient in names

    def _read(self) -> set[str]:
        try:
            return set(self.names.read_text(encoding="utf-8").lower().split())
        except OSError as error:
            raise Unavailable(f"attendance: {error}") from error


class Attendance:
    """The backend, which the entry point names; created once, when the daemon starts."""

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.fedmsg.get("attendance.directory")

    def parse(self, node: Node, problems: Problems) -> Attended | None:
        if self._directory is None:
            # What the rule itself has is parsed all the same: `fedbadges check` has no settings.
            problems.lack(node.place, "'attended' needs the setting 'attendance.directory'")
        entry = only_entry(node, ["event"], "attended criteria", problems)
        event = None if entry is None else as_text(entry[1], "an event", problems)
        if event is None:
            return None
        if not re.fullmatch(r"[\w-]+", event.text):
            problems.add(event.place, f"'{event.text}' is no event; it has letters, digits and -")
            return None
        return Attended(Path(self._directory or "", f"{event.text}.txt"))
