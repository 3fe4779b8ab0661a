"""What a check found: one line, with its place and a code to name its kind by."""

from __future__ import annotations

from dataclasses import dataclass

from fedbadges.errors import Place

ERROR = "error"
WARNING = "warning"

#: What the daemon calls a mistake, by its code, with what it means.
ERRORS = {
    "mistake": "the daemon does not load the rule",
    "duplicate": "another rule has the badge already",
    "unreadable": "a directory cannot be read, or a link leads nowhere",
}

#: What may be meant so, and probably is not.
WARNINGS = {
    "never-matches": "no message can match the trigger",
    "same-for-all": "the criteria do not depend on who would get the badge",
    "no-plugin": "nobody is named, and no plugin for fedmsg.meta is installed",
    "is-literal": "a lambda compares by 'is' what '==' is for",
    "whole-topic": "an operation reads every message there is of a topic",
    "same-again": "two badges are given for the same",
    "stale-topic": "nothing was heard of a topic for a year",
}

CODES = {**ERRORS, **WARNINGS}


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that was found; ``code`` is one of CODES."""

    place: Place
    code: str
    text: str

    @property
    def severity(self) -> str:
        """Whether the daemon would refuse it, or it is only odd."""
        return ERROR if self.code in ERRORS else WARNING
