"""An explanation as trees of text."""

from collections.abc import Iterator, Sequence

from fedbadges.cli.explain.parts import (
    NO,
    UNASKED,
    YES,
    branch_of,
    describe_failure,
    part_of,
    short,
)
from fedbadges.cli.terminal.trees import Branch
from fedbadges.engine.explanation import Candidate, Explanation, RuleExplanation, Verdict
from fedbadges.engine.tracing import Traced
from fedbadges.messages import Message
from fedbadges.rules.recipients import MOST_CANDIDATES, NamedPerson

#: This many people are shown.
_MOST = 20

_VERDICTS = {
    Verdict.AWARD: "gets it",
    Verdict.PASSED_OVER: f"is passed over: the message names more than {MOST_CANDIDATES} people",
    Verdict.OPTED_OUT: "has opted out",
    Verdict.HELD: "holds it already",
    Verdict.CRITERIA: "does not get it: the criteria do not hold",
    Verdict.NO_ACCOUNT: "does not get it: there is no account of this name",
    Verdict.UNKNOWN: "cannot be judged now",
}


def trees_of(explanation: Explanation, user: str | None, delay: float) -> Iterator[Branch]:
    """Yield a tree for the message, one for each rule, and the result.

    Args:
        user: The only user who is asked about, if so.
        delay: How long the daemon waits for datanommer, in seconds.
    """
    yield _message(explanation, delay)
    for explained in explanation.rules:
        yield _rule(explained, explanation.message, user)
    if explanation.others:
        rules = f"{explanation.others} other rules wait"
        if explanation.others == 1:
            rules = "1 other rule waits"
        yield Branch(f"{rules} for messages of other topics", (), UNASKED)
    yield Branch(_result(explanation, user), (), "bold")


def _message(explanation: Explanation, delay: float) -> Branch:
    message = explanation.message
    below: tuple[Branch, ...] = ()
    if explanation.stored:
        below = (Branch("datanommer has it"),)
    elif explanation.stored is not None and message.msg_id is None:
        below = (Branch("it has no id, so the daemon does not wait until datanommer has it"),)
    elif explanation.stored is not None:
        missing = "datanommer does not have it, so it is not counted"
        below = (Branch(f"{missing}; the daemon first waits for it, up to {delay:g} seconds"),)
    name = "a message without an id" if message.msg_id is None else message.msg_id
    sent = f"{message.sent:%Y-%m-%d %H:%M:%S} UTC"
    return Branch(f"{name}: {message.topic}, sent {sent}", below, "bold")


def _result(explanation: Explanation, user: str | None) -> str:
    if explanation.interrupted:
        return "Not all could be found out"
    winners: dict[str, list[str]] = {}
    for name, badge in explanation.awards:
        winners.setdefault(badge, []).append(name)
    if not winners:
        return "Nobody gets a badge" if user is None else f"{user} gets no badge"
    return "; ".join(f"{_winners(names)} {badge}" for badge, names in winners.items())


def _rule(explained: RuleExplanation, message: Message, user: str | None) -> Branch:
    rule = explained.rule
    winners = [each.name for each in explained.candidates if each.verdict is Verdict.AWARD]
    result = f"{user} does not get it" if user else "nobody gets it"
    if winners:
        result = f"{_winners(winners)} it"
    if explained.unknown:
        result = "not all could be found out"
    below: list[Branch] = []
    if explained.unawardable:
        why = f"the daemon has no such rule in force: {explained.unawardable}"
        below.append(Branch(why, (), NO))
    if explained.trigger is not None:
        below.append(_trigger(explained.trigger, message))
    if explained.found is not None:
        below += _people(explained, explained.found, user)
        below += _candidates(explained, message)
    style = YES if winners else ""
    return Branch(f"{rule.badge.id} ({rule.place.path}): {result}", tuple(below), style)


def _trigger(traced: Traced, message: Message) -> Branch:
    below = (branch_of(part_of(traced), message),)
    if traced.answer:
        return Branch("trigger: holds", below, YES)
    return Branch("trigger: does not hold", below, NO)


def _criteria(traced: Traced | None, message: Message) -> tuple[Branch, ...]:
    if traced is None:
        return ()
    below = (branch_of(part_of(traced), message),)
    if traced.answer:
        return (Branch("criteria: hold", below, YES),)
    return (Branch("criteria: do not hold", below, NO),)


def _people(
    explained: RuleExplanation, found: Sequence[NamedPerson], user: str | None
) -> Iterator[Branch]:
    """Yield whom the message names, with those whose names are changed or dropped."""
    recipient = explained.rule.recipient
    source, nobody = "usernames of the message", "nobody, fedmsg.meta names none"
    if recipient is not None:
        source, nobody = f"recipient {recipient.template.text}", "nobody"
    if explained.error is not None:
        yield Branch(f"{source}: nobody, {describe_failure(explained.error)}", (), NO)
    else:
        names = list(dict.fromkeys(each.name for each in found if each.name is not None))
        changed = tuple(_changed(each) for each in found if each.raw != each.name)
        yield Branch(f"{source}: {_join(names) or nobody}", _cut(changed), "" if names else NO)
    if user is not None and not explained.candidates:
        yield Branch(f"{user} is not among them", (), NO)


def _changed(found: NamedPerson) -> Branch:
    if found.name is None:
        return Branch(f"{short(found.raw)} {found.dropped}", (), NO)
    return Branch(f"{short(found.raw)} is {found.name}")


def _candidates(explained: RuleExplanation, message: Message) -> tuple[Branch, ...]:
    """Return the candidates; criteria that were judged for all of them come before."""
    candidates = explained.candidates
    if explained.rule.names_recipient:
        return _cut(
            tuple(_candidate(each, _criteria(each.criteria, message)) for each in candidates)
        )
    judged = next((each.criteria for each in candidates if each.criteria is not None), None)
    return (*_criteria(judged, message), *_cut(tuple(_candidate(each, ()) for each in candidates)))


def _candidate(candidate: Candidate, below: tuple[Branch, ...]) -> Branch:
    verdict = _VERDICTS[candidate.verdict]
    if candidate.since is not None:
        verdict += f", since {candidate.since:%Y-%m-%d}"
    style = YES if candidate.verdict in (Verdict.AWARD, Verdict.HELD) else NO
    return Branch(f"{candidate.name} {verdict}", below, style)


def _winners(names: Sequence[str]) -> str:
    return f"{_join(names)} {'gets' if len(names) == 1 else 'get'}"


def _join(names: Sequence[str]) -> str:
    if len(names) > _MOST:
        return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} others"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _cut(branches: tuple[Branch, ...]) -> tuple[Branch, ...]:
    if len(branches) <= _MOST:
        return branches
    more = Branch(f"and {len(branches) - _MOST} others; --user NAME is about one", (), UNASKED)
    return (*branches[:_MOST], more)
