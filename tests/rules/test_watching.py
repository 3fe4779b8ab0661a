"""Watched checks: they answer as ever, and what each part said is known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.inline import load, message

from fedbadges.engine.tracing import LAMBDA_VALUE, Traced, trace
from fedbadges.rules.criteria import Question
from fedbadges.rules.operators import AllOf, AnyOf, Not
from fedbadges.rules.triggers import Topic


def trigger(text: str) -> Traced:
    return trace(load(f"trigger: {text}\n").trigger)


def test_what_is_settled_is_not_asked() -> None:
    watched = trigger("{any: [{topic: git.receive}, {all: [{category: git}, {category: x}]}]}")

    assert watched.holds(message("a.b.c.git.receive"))

    asked, unasked = watched.parts
    assert (asked.asked, asked.answer) == (True, True)
    assert (unasked.asked, unasked.answer) == (False, None)
    assert [part.asked for part in unasked.parts] == [False, False]


@pytest.mark.parametrize("text", ["msg['msg'].get('who')", "len(msg['msg'])", "msg"])
def test_what_a_lambda_gave_is_known(text: str) -> None:
    watched = trigger(f'{{not: {{lambda: "{text}"}}}}')
    sent = message(msg={"who": ["alice"]})

    assert not watched.holds(sent)

    (part,) = watched.parts
    assert part.details == {LAMBDA_VALUE: eval(text, {"msg": sent.body})}  # noqa: S307


def test_what_is_raised_goes_on_as_ever_and_is_known() -> None:
    watched = trigger("{all: [{not: {lambda: \"msg['no']\"}}, {topic: a}]}")

    with pytest.raises(KeyError) as raised:
        watched.holds(message())

    denial, other = watched.parts
    assert [watched.raised, denial.raised, denial.parts[0].raised] == [raised.value] * 3
    assert not other.asked


class Telling:
    """A criterion of somebody else's."""

    needs_history = False
    names_recipient = True

    def holds(self, subject: Question) -> bool:
        subject.tell("seen", subject.recipient)
        return subject.once("key", lambda: True)


def test_what_a_criterion_tells_is_heard_by_whoever_watches() -> None:
    memo: dict[Any, Any] = {}
    watched = trace(Not(Telling()))
    question = Question(message(), "alice", memo)

    assert not watched.holds(question)
    assert not Not(Telling()).holds(question)

    assert watched.parts[0].details == {"seen": "alice"}
    assert watched.details == {}
    assert memo == {"key": True}


CHECKS = st.recursive(
    st.sampled_from(["a", "b", "c"]).map(Topic),
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda each: AllOf(tuple(each))),
        st.lists(parts, min_size=1, max_size=3).map(lambda each: AnyOf(tuple(each))),
        parts.map(Not),
    ),
    max_leaves=8,
)


@given(CHECKS, st.sampled_from(["a", "b", "x"]))
def test_the_answer_is_the_same(check: Any, topic: str) -> None:
    watched = trace(check)

    assert watched.holds(message(topic)) == check.holds(message(topic)) == watched.answer
    for part in every(watched):
        if part.asked:
            assert part.answer == part.check.holds(message(topic))


def every(watched: Traced) -> list[Traced]:
    return [watched, *(each for part in watched.parts for each in every(part))]
