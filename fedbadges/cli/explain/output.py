"""Explanations as trees of text, and as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fedbadges.cli.explain.parts import (
    NO,
    UNASKED,
    YES,
    Part,
    branch_of,
    data_of,
    describe_failure,
    part_of,
    short,
)
from fedbadges.cli.terminal.trees import Branch
from fedbadges.engine.explanation import Candidate, Explanation, RuleExplanation, Verdict
from fedbadges.messages import Message
from fedbadges.rules.recipients import MOST_CANDIDATES, NamedPerson

#: Of many people, this many are shown to people.
_MOST = 20

#: Of what a message has in place of a name, so many characters are shown.
_MAX_NAME = 200

_WORDS = {
    Verdict.AWARD: "gets it",
    Verdict.PASSED_OVER: f"is passed over: the message names more than {MOST_CANDIDATES} people",
    Verdict.OPTED_OUT: "has opted out",
    Verdict.HELD: "holds it already",
    Verdict.CRITERIA: "does not get it: the criteria do not hold",
    Verdict.NO_ACCOUNT: "does not get it: there is no account of this name",
    Verdict.UNKNOWN: "cannot be judged now",
}


def trees_of(explanation: Explanation, user: str | None, delay: float) -> Iterator[Branch]:
    """Say it for people; ``delay`` is how long the daemon waits for datanommer."""
    yield _message(explanation, delay)
    for account in explanation.rules:
        yield _rule(account, explanation.message, user)
    if explanation.others:
        rules = "1 other rule waits" if explanation.others == 1 else None
        rules = rules or f"{explanation.others} other rules wait"
        yield Branch(f"{rules} for messages of other topics", (), UNASKED)
    yield Branch(_result(explanation, user), (), "bold")


def data_of_explanation(explanation: Explanation, user: str | None) -> dict[str, Any]:
    """Say it for programs."""
    message = explanation.message
    return {
        "message": {
            "msg_id": message.msg_id,
            "topic": message.topic,
            "sent": message.sent.isoformat(),
            "stored": explanation.stored,
        },
        "user": user,
        "rules": [_rule_data(account, message) for account in explanation.rules],
        "other_rules": explanation.others,
        "awards": [{"user": name, "badge": badge} for name, badge in explanation.awards],
        "interrupted": explanation.interrupted or None,
    }


def _message(explanation: Explanation, delay: float) -> Branch:
    message = explanation.message
    stored = {
        None: (),
        True: (Branch("datanommer has it"),),
        False: (
            Branch(
                "datanommer does not have it, so it is not counted; "
                f"the daemon first waits for it, up to {delay:g} seconds"
                if message.msg_id is not None
                else "it has no id, so the daemon does not wait until datanommer has it"
            ),
        ),
    }[explanation.stored]
    name = "a message without an id" if message.msg_id is None else message.msg_id
    sent = f"{message.sent:%Y-%m-%d %H:%M:%S} UTC"
    return Branch(f"{name}: {message.topic}, sent {sent}", stored, "bold")


def _result(explanation: Explanation, user: str | None) -> str:
    if explanation.interrupted:
        return "Not all could be found out"
    awards = explanation.awards
    if not awards:
        return "Nobody gets a badge" if user is None else f"{user} gets no badge"
    badges = dict.fromkeys(badge for _, badge in awards)
    return "; ".join(
        f"{_several([name for name, each in awards if each == badge])} {badge}" for badge in badges
    )


def _several(names: Sequence[str]) -> str:
    verb = "gets" if len(names) == 1 else "get"
    return f"{_listed(names)} {verb}"


def _rule(account: RuleExplanation, message: Message, user: str | None) -> Branch:
    rule = account.rule
    winners = [each.name for each in account.candidates if each.verdict is Verdict.AWARD]
    what = f"{user} does not get it" if user else "nobody gets it"
    if winners:
        what = f"{_several(winners)} it"
    if account.unknown:
        what = "not all could be found out"
    below: list[Branch] = []
    if account.unawardable:
        below.append(Branch(f"the daemon has no such rule in force: {account.unawardable}", (), NO))
    if account.trigger is not None:
        below.append(_judged("trigger", part_of(account.trigger), message))
    if account.found is not None:
        below += _people(account, user)
        below += _candidates(account, message)
    return Branch(
        f"{rule.badge.id} ({rule.place.path}): {what}", tuple(below), YES if winners else ""
    )


def _judged(what: str, part: Part, message: Message) -> Branch:
    holds = part.traced.answer
    words = "holds" if what == "trigger" else "hold"
    verb = words if holds else "does not hold" if what == "trigger" else "do not hold"
    return Branch(f"{what}: {verb}", (branch_of(part, message),), YES if holds else NO)


def _people(account: RuleExplanation, user: str | None) -> Iterator[Branch]:
    """Say whom the message names, and who of them is dropped for what."""
    rule, found = account.rule, account.found or ()
    what = "usernames of the message" if rule.recipient is None else "recipient "
    what += "" if rule.recipient is None else rule.recipient.template.text
    if account.error is not None:
        yield Branch(f"{what}: nobody, {describe_failure(account.error)}", (), NO)
    else:
        names = list(dict.fromkeys(each.name for each in found if each.name is not None))
        odd = tuple(_odd(each) for each in found if each.name is None or each.raw != each.name)
        nobody = "nobody, fedmsg.meta names none" if rule.recipient is None else "nobody"
        yield Branch(f"{what}: {_listed(names) or nobody}", _cut(odd), "" if names else NO)
    if user is not None and not account.candidates:
        yield Branch(f"{user} is not among them", (), NO)


def _odd(found: NamedPerson) -> Branch:
    if found.name is None:
        return Branch(f"{short(found.raw)} {found.dropped}", (), NO)
    return Branch(f"{short(found.raw)} is {found.name}")


def _candidates(account: RuleExplanation, message: Message) -> tuple[Branch, ...]:
    """Say what comes of each; the criteria stand once where they were judged for all at once."""
    common = None if account.rule.names_recipient else _common(account)
    branches = tuple(
        _candidate(each, () if common else _criteria(account, each, message))
        for each in account.candidates
    )
    return (*(_criteria(account, common, message) if common else ()), *_cut(branches))


def _common(account: RuleExplanation) -> Candidate | None:
    judged = (each for each in account.candidates if each.criteria is not None)
    return next(judged, None)


def _criteria(
    account: RuleExplanation, candidate: Candidate, message: Message
) -> tuple[Branch, ...]:
    if candidate.criteria is None:
        return ()
    return (_judged("criteria", part_of(candidate.criteria), message),)


def _candidate(candidate: Candidate, below: tuple[Branch, ...]) -> Branch:
    words = _WORDS[candidate.verdict]
    if candidate.since is not None:
        words += f", since {day(candidate.since)}"
    style = YES if candidate.verdict in (Verdict.AWARD, Verdict.HELD) else NO
    return Branch(f"{candidate.name} {words}", below, style)


def day(moment: datetime.datetime) -> str:
    """Say when, to people."""
    return f"{moment:%Y-%m-%d}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > _MOST:
        return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} others"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _cut(branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
    if len(branches) <= _MOST:
        return branches
    more = Branch(f"and {len(branches) - _MOST} others; --user NAME is about one", (), UNASKED)
    return (*branches[:_MOST], more)


def _rule_data(account: RuleExplanation, message: Message) -> dict[str, Any]:
    rule, trigger = account.rule, account.trigger
    return {
        "badge": rule.badge.id,
        "path": rule.place.path,
        "not_in_force": account.unawardable or None,
        "trigger": trigger and data_of(part_of(trigger), message),
        "recipient": {
            "template": rule.recipient and rule.recipient.template.text,
            "error": account.error and describe_failure(account.error),
            "found": _found_data(account.found or ()),
        },
        "candidates": [
            {
                "user": each.name,
                "verdict": each.verdict.value,
                "since": each.since and each.since.isoformat(),
                "criteria": each.criteria and data_of(part_of(each.criteria), message),
            }
            for each in account.candidates
        ],
    }


def _found_data(found: Iterable[NamedPerson]) -> list[dict[str, Any]]:
    return [
        {
            "raw": each.raw[:_MAX_NAME] if isinstance(each.raw, str) else short(each.raw),
            "user": each.name,
            "dropped": each.dropped or None,
        }
        for each in found
    ]
