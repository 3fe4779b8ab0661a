"""An explanation as JSON."""

from typing import Any

from fedbadges.cli.explain.parts import data_of, describe_failure, part_of, short
from fedbadges.engine.explanation import Candidate, Explanation, RuleExplanation
from fedbadges.engine.tracing import Traced
from fedbadges.messages import Message
from fedbadges.rules.recipients import NamedPerson

#: This many characters of what a message has in place of a name are shown.
_MAX_NAME = 200


def as_json(explanation: Explanation, user: str | None) -> dict[str, Any]:
    """Return an explanation as an object; ``user`` is the only one who is asked about, if so."""
    message = explanation.message
    return {
        "message": {
            "msg_id": message.msg_id,
            "topic": message.topic,
            "sent": message.sent.isoformat(),
            "stored": explanation.stored,
        },
        "user": user,
        "rules": [_rule(explained, message) for explained in explanation.rules],
        "other_rules": explanation.others,
        "awards": [{"user": name, "badge": badge} for name, badge in explanation.awards],
        "interrupted": explanation.interrupted or None,
    }


def _rule(explained: RuleExplanation, message: Message) -> dict[str, Any]:
    rule = explained.rule
    return {
        "badge": rule.badge.id,
        "path": rule.place.path,
        "not_in_force": explained.unawardable or None,
        "trigger": _check(explained.trigger, message),
        "recipient": {
            "template": rule.recipient and rule.recipient.template.text,
            "error": explained.error and describe_failure(explained.error),
            "found": [_person(each) for each in explained.found or ()],
        },
        "candidates": [_candidate(each, message) for each in explained.candidates],
    }


def _candidate(candidate: Candidate, message: Message) -> dict[str, Any]:
    return {
        "user": candidate.name,
        "verdict": candidate.verdict.value,
        "since": candidate.since and candidate.since.isoformat(),
        "criteria": _check(candidate.criteria, message),
    }


def _check(traced: Traced | None, message: Message) -> dict[str, Any] | None:
    return None if traced is None else data_of(part_of(traced), message)


def _person(found: NamedPerson) -> dict[str, Any]:
    return {
        "raw": found.raw[:_MAX_NAME] if isinstance(found.raw, str) else short(found.raw),
        "user": found.name,
        "dropped": found.dropped or None,
    }
