"""An explanation as trees of text, and as JSON."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.tree import Tree

from fedbadges.cli.explain.checks import answer_of, data_of, describe_failure, short, tree_of
from fedbadges.cli.revocations import describe_revocation, revocation_data
from fedbadges.cli.terminal import NO, UNASKED, YES, make_tree
from fedbadges.engine.explanation import Candidate, Explanation, RuleExplanation, Verdict
from fedbadges.engine.tracing import Traced
from fedbadges.messages import Message
from fedbadges.rules.operators import AllOf
from fedbadges.rules.recipients import MOST_CANDIDATES, NamedPerson
from fedbadges.util.text import pluralize

#: This many characters of what a message has in place of a name are in JSON.
_MAX_NAME = 200

#: This many people are shown.
_MOST = 20

_VERDICTS = {
    Verdict.AWARD: "gets it",
    Verdict.PASSED_OVER: f"is skipped: the message names more than {MOST_CANDIDATES} people",
    Verdict.OPTED_OUT: "has opted out",
    Verdict.HELD: "already has it",
    Verdict.REVOKED: "does not get it",
    Verdict.CRITERIA: "does not get it: the criteria do not hold",
    Verdict.NO_ACCOUNT: "does not get it: there is no account of this name",
    Verdict.LATE: "does not get it: as many people have it as may",
    Verdict.UNKNOWN: "cannot be judged now",
}

_UNTIL_THEN = "messages sent until a minute later, or stored before, do not give it"


def trees_of(explanation: Explanation, user: str | None, delay: float) -> Iterator[Tree]:
    """Yield a tree for the message, one for each rule, and the result.

    ``user`` is the only one who is asked about, if so; ``delay`` is for how many seconds the daemon
    waits for datanommer.
    """
    message = explanation.message
    name = "a message without an id" if message.msg_id is None else message.msg_id
    sent = f"{message.sent:%Y-%m-%d %H:%M:%S} UTC"
    stored = () if explanation.stored is None else (make_tree(_stored(explanation, delay)),)
    yield make_tree(f"{name}: {message.topic}, sent {sent}", stored, "bold")
    for series, explained in groupby(explanation.rules, key=_series_of):
        if series is None:
            yield from (_rule(each, message, user) for each in explained)
        else:
            yield _series(series[1], list(explained), message, user)
    if explanation.others:
        others = pluralize(explanation.others, "other rule")
        yield make_tree(f"{others} not triggered by this topic", style=UNASKED)
    yield make_tree(_result(explanation, user), style="bold")


def _stored(explanation: Explanation, delay: float) -> str:
    if explanation.stored:
        return "datanommer has it"
    if explanation.message.msg_id is None:
        return "it has no id, so the daemon does not wait until datanommer has it"
    missing = "datanommer does not have it, so it is not counted"
    return f"{missing}; the daemon first waits for it, up to {delay:g} seconds"


def _result(explanation: Explanation, user: str | None) -> str:
    if explanation.interrupted:
        return "The result is incomplete"
    winners: dict[str, list[str]] = {}
    for name, badge in explanation.awards:
        winners.setdefault(badge, []).append(name)
    if not winners:
        return "Nobody gets a badge" if user is None else f"{user} gets no badge"
    return "; ".join(f"{_winners(names)} {badge}" for badge, names in winners.items())


def _series_of(explained: RuleExplanation) -> tuple[str, str] | None:
    """Return the file and the name of a series that one file gives; None for another rule."""
    rule = explained.rule
    return None if rule.threshold is None else (rule.place.path, rule.series or "")


def _series(
    name: str, badges: Sequence[RuleExplanation], message: Message, user: str | None
) -> Tree:
    """Return a tree for a series: what all badges have in common once, and a branch for each."""
    below = _common(badges[0], message, user)
    if badges[0].found is not None:
        for each in badges:
            branches = [*_not_in_force(each), *_candidates(each, message)]
            text = f"{each.rule.badge.id}: {_result_of(each, user)}"
            below.append(make_tree(text, branches, YES if _awarded(each) else ""))
    found = [
        f"{_winners(_awarded(each))} {each.rule.badge.id}" for each in badges if _awarded(each)
    ]
    result = "; ".join(found) or (f"{user} gets no badge" if user else "nobody gets a badge")
    if any(each.unknown for each in badges):
        result = "the result is incomplete"
    text = f"{name} ({badges[0].rule.place.path}): {result}"
    return make_tree(text, below, YES if found else "")


def _rule(explained: RuleExplanation, message: Message, user: str | None) -> Tree:
    rule = explained.rule
    below = [*_not_in_force(explained), *_common(explained, message, user)]
    if explained.found is not None:
        below += _candidates(explained, message)
    text = f"{rule.badge.id} ({rule.place.path}): {_result_of(explained, user)}"
    return make_tree(text, below, YES if _awarded(explained) else "")


def _awarded(explained: RuleExplanation) -> list[str]:
    return [each.name for each in explained.candidates if each.verdict is Verdict.AWARD]


def _result_of(explained: RuleExplanation, user: str | None) -> str:
    if explained.unknown:
        return "the result is incomplete"
    if winners := _awarded(explained):
        return f"{_winners(winners)} it"
    return f"{user} does not get it" if user else "nobody gets it"


def _not_in_force(explained: RuleExplanation) -> Iterator[Tree]:
    if explained.unawardable:
        why = f"the daemon has no such rule in force: {explained.unawardable}"
        yield make_tree(why, style=NO)


def _common(explained: RuleExplanation, message: Message, user: str | None) -> list[Tree]:
    """Return what does not depend on a threshold: the trigger, and whom the message names."""
    below: list[Tree] = []
    if explained.trigger is not None:
        below.append(_check("trigger", explained.trigger, message))
    if explained.found is not None:
        below += _people(explained, explained.found, user)
    return below


def _check(what: str, traced: Traced, message: Message) -> Tree:
    if isinstance(traced.check, AllOf) and not traced.parts:
        return make_tree(f"{what}: none, the trigger is enough", style=YES)
    below = [tree_of(traced, message)]
    return make_tree(f"{what}: {answer_of(traced)}", below, YES if traced.answer else NO)


def _people(
    explained: RuleExplanation, found: Sequence[NamedPerson], user: str | None
) -> Iterator[Tree]:
    """Yield whom the message names, with those whose names are changed or dropped."""
    recipient = explained.rule.recipient
    source, nobody = "usernames of the message", "nobody, fedmsg.meta names none"
    if recipient is not None:
        source, nobody = f"recipient {recipient}", "nobody"
    if explained.error is not None:
        yield make_tree(f"{source}: nobody, {describe_failure(explained.error)}", style=NO)
    else:
        names = list(dict.fromkeys(each.name for each in found if each.name is not None))
        changed = [_changed(each) for each in found if each.raw != each.name]
        yield make_tree(f"{source}: {_join(names) or nobody}", _cut(changed), "" if names else NO)
    if user is not None and not explained.candidates:
        yield make_tree(f"{user} is not among them", style=NO)


def _changed(found: NamedPerson) -> Tree:
    if found.name is None:
        return make_tree(f"{short(found.raw)} {found.dropped}", style=NO)
    return make_tree(f"{short(found.raw)} is {found.name}")


def _candidates(explained: RuleExplanation, message: Message) -> list[Tree]:
    """Return the candidates, after criteria that were judged for all of them."""
    own = explained.rule.names_recipient
    judged = [each.criteria for each in explained.candidates if each.criteria is not None]
    shared = [] if own else [_check("criteria", each, message) for each in judged[:1]]
    return shared + _cut([_candidate(each, message, own) for each in explained.candidates])


def _candidate(candidate: Candidate, message: Message, own: bool) -> Tree:
    text = f"{candidate.name} {_VERDICTS[candidate.verdict]}"
    if candidate.since is not None:
        text += f", since {candidate.since:%Y-%m-%d}"
    if candidate.revoked is not None:
        barred = "no message gives it" if candidate.revoked.for_good else _UNTIL_THEN
        text += f": the badge was {describe_revocation(candidate.revoked)}; {barred}"
    style = YES if candidate.verdict in (Verdict.AWARD, Verdict.HELD) else NO
    criteria = candidate.criteria if own else None
    below = () if criteria is None else (_check("criteria", criteria, message),)
    return make_tree(text, below, style)


def _winners(names: Sequence[str]) -> str:
    return f"{_join(names)} {'gets' if len(names) == 1 else 'get'}"


def _join(names: Sequence[str]) -> str:
    if len(names) > _MOST:
        return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} others"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _cut(trees: list[Tree]) -> list[Tree]:
    if len(trees) <= _MOST:
        return trees
    more = f"and {len(trees) - _MOST} others; --user NAME shows one"
    return [*trees[:_MOST], make_tree(more, style=UNASKED)]


def data_of_explanation(explanation: Explanation, user: str | None) -> dict[str, Any]:
    """Return an explanation for JSON; ``user`` is the only one who is asked about, if so."""
    message = explanation.message
    return {
        "message": {
            "msg_id": message.msg_id,
            "topic": message.topic,
            "sent": message.sent.isoformat(),
            "stored": explanation.stored,
        },
        "user": user,
        "rules": [_rule_data(explained, message) for explained in explanation.rules],
        "other_rules": explanation.others,
        "awards": [{"user": name, "badge": badge} for name, badge in explanation.awards],
        "interrupted": explanation.interrupted or None,
    }


def _rule_data(explained: RuleExplanation, message: Message) -> dict[str, Any]:
    rule, trigger = explained.rule, explained.trigger
    return {
        "badge": rule.badge.id,
        "path": rule.place.path,
        "not_in_force": explained.unawardable or None,
        "trigger": trigger and data_of(trigger, message),
        "recipient": {
            "template": rule.recipient and str(rule.recipient),
            "error": explained.error and describe_failure(explained.error),
            "found": [
                {
                    "raw": each.raw[:_MAX_NAME] if isinstance(each.raw, str) else short(each.raw),
                    "user": each.name,
                    "dropped": each.dropped or None,
                }
                for each in explained.found or ()
            ],
        },
        "candidates": [
            {
                "user": each.name,
                "verdict": each.verdict.value,
                "since": each.since and each.since.isoformat(),
                "revoked": revocation_data(each.revoked),
                "criteria": each.criteria and data_of(each.criteria, message),
            }
            for each in explained.candidates
        ],
    }
