"""Traced checks answer as others do, and record what each part answered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rule_text import load, message

from fedbadges.engine.tracing import LAMBDA_VALUE, Traced, trace
from fedbadges.errors import Place
from fedbadges.rules.criteria import Question
from fedbadges.rules.operators import AllOf, AnyOf, Not
from fedbadges.rules.triggers import Topic

HERE = Place("rule.yml", 1, 1)


def trigger(text: str) -> Traced:
    return trace(load(f"trigger: {text}\n").trigger)


def test_trace_records_that_parts_after_the_decisive_one_are_not_asked() -> None:
    traced = trigger("{any: [{topic: git.receive}, {all: [{category: git}, {category: x}]}]}")

    assert traced.holds(message("a.b.c.git.receive"))

    asked, unasked = traced.parts
    assert (asked.asked, asked.answer) == (True, True)
    assert (unasked.asked, unasked.answer) == (False, None)
    assert [part.asked for part in unasked.parts] == [False, False]


@pytest.mark.parametrize("text", ["msg['msg'].get('who')", "len(msg['msg'])", "msg"])
def test_trace_records_the_value_of_a_lambda(text: str) -> None:
    traced = trigger(f'{{not: {{lambda: "{text}"}}}}')
    sent = message(msg={"who": ["alice"]})

    assert not traced.holds(sent)

    (part,) = traced.parts
    assert part.details == {LAMBDA_VALUE: eval(text, {"msg": sent.body})}  # noqa: S307


def test_trace_records_an_error_and_raises_it() -> None:
    traced = trigger("{all: [{not: {lambda: \"msg['no']\"}}, {topic: git.receive}]}")

    with pytest.raises(KeyError) as raised:
        traced.holds(message())

    denial, other = traced.parts
    assert [traced.raised, denial.raised, denial.parts[0].raised] == [raised.value] * 3
    assert other.answer is True


def test_trace_records_an_error_that_another_part_overrules() -> None:
    traced = trigger("{any: [{lambda: \"msg['no']\"}, {topic: git.receive}, {topic: a}]}")

    assert traced.holds(message())

    failed, decisive, unasked = traced.parts
    assert isinstance(failed.raised, KeyError)
    assert (traced.raised, decisive.answer, unasked.asked) == (None, True, False)


class Telling:
    """A criterion of another package."""

    place = HERE
    needs_history = False
    names_recipient = True

    def holds(self, subject: Question) -> bool:
        subject.tell("seen", subject.recipient)
        return subject.once("key", lambda: True)


def test_trace_records_what_a_criterion_tells() -> None:
    cache: dict[Any, Any] = {}
    traced = trace(Not(Telling(), HERE))
    question = Question(message(), "alice", cache)

    assert not traced.holds(question)
    assert not Not(Telling(), HERE).holds(question)

    assert traced.parts[0].details == {"seen": "alice"}
    assert traced.details == {}
    assert cache == {"key": True}


CHECKS = st.recursive(
    st.sampled_from(["a", "b", "c"]).map(lambda name: Topic(name, HERE, HERE)),
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda each: AllOf(tuple(each), HERE)),
        st.lists(parts, min_size=1, max_size=3).map(lambda each: AnyOf(tuple(each), HERE)),
        parts.map(lambda part: Not(part, HERE)),
    ),
    max_leaves=8,
)


@given(CHECKS, st.sampled_from(["a", "b", "x"]))
def test_a_traced_check_answers_as_the_check_does(check: Any, topic: str) -> None:
    traced = trace(check)

    assert traced.holds(message(topic)) == check.holds(message(topic)) == traced.answer
    for part in every(traced):
        if part.asked:
            assert part.answer == part.check.holds(message(topic))


def every(traced: Traced) -> list[Traced]:
    return [traced, *(each for part in traced.parts for each in every(part))]
