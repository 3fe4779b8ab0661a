"""``all``, ``any`` and ``not`` over parts that hold, do not hold, or raise an error."""

import gc
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rule_text import load, message

from fedbadges.engine.tracing import Traced, trace
from fedbadges.errors import MissingValue, Place, Unavailable
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not, leaves, operands

HERE = Place("rule.yml", 1, 1)
MISSING = MissingValue("the message has no msg.x")
AWAY = Unavailable("Libravatar")

#: An answer, or the error that a part raises.
Answer = bool | BaseException


@dataclass
class Part:
    """A check with a fixed answer, which counts how often it is asked."""

    answer: Answer
    place: Place = HERE
    asked: int = field(default=0, compare=False)

    def holds(self, subject: object) -> bool:
        self.asked += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def every(operator: Callable[..., Check[Any]], *answers: Answer) -> Check[Any]:
    return operator(tuple(map(Part, answers)), HERE)


def outcome(check: Check[Any]) -> Answer:
    """Return what a check answers, or the error that it raises."""
    try:
        return check.holds(None)
    except BaseException as error:
        return error


ERRORS = [MISSING, KeyError("x"), ZeroDivisionError(), RecursionError(), SystemExit(3)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_one_part_decides_in_any_order_whatever_another_raises(error: BaseException) -> None:
    for answers in itertools.permutations([error, True, False]):
        assert outcome(every(AnyOf, *answers)) is True
        assert outcome(every(AllOf, *answers)) is False
        assert outcome(Not(every(AnyOf, *answers), HERE)) is False
        assert outcome(Not(every(AllOf, *answers), HERE)) is True


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_is_raised_where_no_part_decides(error: BaseException) -> None:
    for operator, others in ((AnyOf, False), (AllOf, True)):
        for answers in itertools.permutations([error, others, others]):
            assert outcome(every(operator, *answers)) is error
            assert outcome(Not(every(operator, *answers), HERE)) is error


@pytest.mark.parametrize("operator", [AnyOf, AllOf])
def test_first_of_several_errors_is_raised(operator: Callable[..., Check[Any]]) -> None:
    assert outcome(every(operator, MISSING, KeyError("x"))) is MISSING


def test_unavailable_part_is_raised_before_other_errors() -> None:
    """The part may decide when it is asked again; the other errors remain."""
    for operator, others in ((AnyOf, False), (AllOf, True)):
        for answers in itertools.permutations([MISSING, AWAY, others]):
            assert outcome(every(operator, *answers)) is AWAY


def test_decisive_part_is_certain_though_another_is_unavailable() -> None:
    for answers in itertools.permutations([AWAY, MISSING, True, False]):
        assert outcome(every(AnyOf, *answers)) is True
        assert outcome(every(AllOf, *answers)) is False


def test_interrupt_is_raised_at_once() -> None:
    last = Part(True)

    assert isinstance(outcome(AnyOf((Part(KeyboardInterrupt()), last), HERE)), KeyboardInterrupt)
    assert last.asked == 0


@pytest.mark.parametrize(
    ("operator", "answers", "asked"),
    [
        (AnyOf, [False, True, True, MISSING], [1, 1, 0, 0]),
        (AllOf, [True, False, False, MISSING], [1, 1, 0, 0]),
        (AnyOf, [MISSING, True, False], [1, 1, 0]),
        (AllOf, [MISSING, False, True], [1, 1, 0]),
        (AnyOf, [AWAY, False, MISSING], [1, 1, 1]),
    ],
)
def test_no_part_is_asked_after_the_decisive_one(
    operator: Callable[..., Check[Any]], answers: list[Answer], asked: list[int]
) -> None:
    parts = [Part(answer) for answer in answers]

    outcome(operator(tuple(parts), HERE))

    assert [part.asked for part in parts] == asked


def test_answer_that_is_no_bool_decides() -> None:
    """A criterion of another package may return anything."""
    assert outcome(AnyOf((Part(0), Part([1])), HERE)) is True  # type: ignore[arg-type]
    assert outcome(AllOf((Part(1), Part("")), HERE)) is False  # type: ignore[arg-type]


def test_errors_are_not_kept_in_reference_cycles() -> None:
    gc.collect()
    gc.disable()
    try:
        for operator in (AnyOf, AllOf):
            for answer in (True, False):
                outcome(operator((Raising(), Raising(), Part(answer)), HERE))
        assert gc.collect() == 0
    finally:
        gc.enable()


class Raising:
    """A check that raises an error of its own each time."""

    place = HERE

    def holds(self, subject: object) -> bool:
        raise KeyError("x")


@dataclass
class Subject:
    """A subject for which errors are noted."""

    errors: list[BaseException] = field(default_factory=list)

    def overrule(self, error: BaseException) -> None:
        self.errors.append(error)


@pytest.mark.parametrize(
    ("operator", "answers", "noted"),
    [
        (AllOf, [MISSING, False], [MISSING]),
        (AllOf, [True, MISSING, True, False], [MISSING]),
        (AllOf, [AWAY, False], []),
        (AllOf, [False, MISSING], []),
        (AnyOf, [MISSING, True], []),
    ],
)
def test_error_is_noted_where_all_is_false_for_another_reason(
    operator: Callable[..., Check[Any]], answers: list[Answer], noted: list[BaseException]
) -> None:
    subject = Subject()

    every(operator, *answers).holds(subject)

    assert subject.errors == noted


# Whole trees, compared with Kleene's tables.

UNKNOWN = None
CHECKS = st.recursive(
    st.sampled_from([True, False, MISSING]).map(Part),
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=4).map(lambda each: AllOf(tuple(each), HERE)),
        st.lists(parts, min_size=1, max_size=4).map(lambda each: AnyOf(tuple(each), HERE)),
        parts.map(lambda part: Not(part, HERE)),
    ),
    max_leaves=12,
)


def kleene(check: Any) -> bool | None:
    """Return the answer by the tables: ``all`` is the least, ``any`` the greatest value."""
    if isinstance(check, Part):
        return UNKNOWN if isinstance(check.answer, BaseException) else check.answer
    values = [kleene(part) for part in operands(check)]
    if isinstance(check, Not):
        return UNKNOWN if values[0] is UNKNOWN else not values[0]
    for decisive in (isinstance(check, AnyOf), UNKNOWN):
        if decisive in values:
            return decisive
    return isinstance(check, AllOf)


@given(CHECKS)
def test_operators_follow_kleenes_tables(check: Any) -> None:
    expected = kleene(check)

    assert outcome(check) is (MISSING if expected is UNKNOWN else expected)


@given(CHECKS, st.randoms())
def test_order_of_the_parts_does_not_matter(check: Any, random: Any) -> None:
    assert outcome(shuffled(check, random)) is outcome(check)


def shuffled(check: Any, random: Any) -> Any:
    parts = [shuffled(part, random) for part in operands(check)]
    random.shuffle(parts)
    if isinstance(check, Not):
        return Not(parts[0], HERE)
    return type(check)(tuple(parts), HERE) if parts else check


@given(CHECKS)
def test_tracing_changes_no_answer_and_calls_asked_what_was_asked(check: Any) -> None:
    expected = outcome(check)
    for part in leaves(check):
        part.asked = 0
    traced = trace(check)

    assert outcome(traced) is expected
    for part in bottom(traced):
        assert part.asked is bool(part.check.asked)


def bottom(traced: Traced) -> list[Traced]:
    return [each for part in traced.parts for each in bottom(part)] or [traced]


# Triggers, which use the same operators.


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("{any: [{lambda: \"msg['msg']['x']['y']\"}, {topic: git.receive}]}", True),
        ("{any: [{topic: git.receive}, {lambda: \"msg['msg']['x']['y']\"}]}", True),
        ("{any: [{lambda: 'exit()'}, {category: git}]}", True),
        ("{any: [{lambda: \"'%(msg.x)s' == 'a'\"}, {category: git}]}", True),
        ("{not: {all: [{lambda: \"'%(msg.x)s' == 'a'\"}, {category: wiki}]}}", True),
        ("{all: [{lambda: \"msg['msg']['x']['y']\"}, {topic: wiki.edit}]}", False),
        ("{not: {all: [{lambda: \"msg['msg']['x']['y']\"}, {topic: wiki.edit}]}}", True),
        ("{not: {any: [{lambda: \"msg['msg']['x']['y']\"}, {topic: git.receive}]}}", False),
        ("{any: [{all: [{lambda: 1 / 0}, {category: git}]}, {not: {topic: wiki.edit}}]}", True),
    ],
)
def test_trigger_does_not_depend_on_the_order_of_its_parts(trigger: str, expected: bool) -> None:
    assert load(f"trigger: {trigger}").trigger.holds(message()) is expected


def test_trigger_raises_what_its_lambda_raises_where_no_part_decides() -> None:
    trigger = load("trigger: {any: [{topic: wiki.edit}, {lambda: \"msg['x']\"}]}").trigger

    with pytest.raises(KeyError):
        trigger.holds(message())
