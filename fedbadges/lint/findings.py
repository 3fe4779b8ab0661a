"""One finding: its place, a text of one line, and a code that names its kind."""

from __future__ import annotations

from dataclasses import dataclass

from fedbadges.errors import Place, Problem

ERROR = "error"
WARNING = "warning"

#: The codes of what cannot be used, with their meanings.
ERRORS = {
    "mistake": "the daemon does not load the rule",
    "duplicate": "another rule has the badge already",
    "unreadable": "a directory cannot be read, or a link leads nowhere",
    "bad-message": "a sample message cannot be read",
}

#: The codes of what the daemon loads, but is probably not meant so.
WARNINGS = {
    "never-matches": "no message can match the trigger",
    "same-for-all": "the criteria do not depend on who would get the badge",
    "no-plugin": "nobody is named, and no plugin for fedmsg.meta is installed",
    "nothing-stored": "a filter asks for names that the daemon does not store",
    "is-literal": "a lambda compares by 'is' what '==' is for",
    "whole-topic": "an operation reads every message there is of a topic",
    "same-again": "two badges are given for the same",
    "counted-together": "the people of a message are counted together",
    "not-converted": "a filter looks for a name of another kind than accounts have",
    "always-holds": "a condition holds of every count",
    "never-holds": "a condition holds of no count",
    "empty-window": "no time passes between 'start' and 'end'",
    "no-topic": "a text is no topic, category or template",
    "no-field": "fedmsg's messages have no such field",
    "unknown-badge": "neither a rule nor tahrir has a badge that criteria name",
    "odd-id": "the badge's id breaks links",
    "cut-text": "a comment may be meant as text",
    "stale-topic": "nothing was heard of a topic for a year",
    "missing-path": "no message has what a template names",
    "unused-ignore": "a comment ignores what is not found",
}

CODES = {**ERRORS, **WARNINGS}


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that was found; ``code`` is one of CODES."""

    place: Place
    code: str
    text: str

    @classmethod
    def from_problem(cls, problem: Problem, code: str = "mistake") -> Finding:
        """Return a mistake that the rule language reports as a finding."""
        return cls(problem.place, code, problem.text)

    @property
    def severity(self) -> str:
        """Return ERROR if the daemon or the command refuses it, or else WARNING."""
        return ERROR if self.code in ERRORS else WARNING
