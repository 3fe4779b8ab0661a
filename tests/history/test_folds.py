"""A fold over the messages that were added is what its expression makes of all of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.cached_history import operation
from support.sizes import size

from fedbadges.history import fold_cache, fold_values
from fedbadges.history.fold_values import NotKept
from fedbadges.history.folds import RunningFold, Taken, take
from fedbadges.history.rows import parse_content
from fedbadges.rules.names import Name

START = datetime(2024, 1, 1)


@dataclass
class Past:
    """A past message; one whose content is not JSON is damaged."""

    number: int
    text: str
    topic: str = "org.example.topic"
    category: str = "topic"
    users: list[Name] = field(default_factory=list)
    packages: list[Name] = field(default_factory=list)

    @property
    def msg_id(self) -> str:
        return f"2024-{self.number}"

    @property
    def timestamp(self) -> datetime:
        return START + timedelta(seconds=self.number)

    @property
    def msg(self) -> Any:
        return parse_content(self.text)


class Query:
    """All messages that are not damaged, as an operation sees them."""

    def __init__(self, messages: Sequence[Past]) -> None:
        self._messages = messages

    def __iter__(self) -> Iterator[Past]:
        return (each for each in self._messages if each.text != "damaged")

    def all(self) -> list[Past]:
        return list(self)


def outcome(compute: Callable[[], Any]) -> str:
    """Return a text that differs for results, and errors, that differ."""
    try:
        result = compute()
    except NotKept:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"{type(result).__name__} {result!r}"


contents = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "x": st.one_of(
                st.integers(-2, 2).map(str),
                st.sampled_from(
                    (
                        *("0.1", "0.2", "1e300", "NaN", "true", "null", '"a"', '"b"', '"A"'),
                        *('["a"]', '{"a": 1}', "[]", '"' + 200 * "a" + '"', '"\\ud800"'),
                    )
                ),
            ),
            "y": st.sampled_from(("0", "1", '"a"', "[1, 2]", '["a", "b", "a"]', "[[1]]")),
        },
    ).map(lambda each: "{" + ", ".join(f'"{key}": {each[key]}' for key in each) + "}"),
    st.just("damaged"),
)
messages = st.lists(
    st.tuples(contents, st.lists(st.sampled_from(("alice", "Bob")).map(Name), max_size=2)),
    max_size=8,
).map(lambda each: [Past(number, *parts, users=who) for number, (*parts, who) in enumerate(each)])

elements = st.sampled_from(
    (
        *("m.msg['x']", "m.msg.get('x')", "m.msg.get('x', 0)", "m.msg['y'][0]", "m.topic"),
        *("(m.msg.get('x'), m.number)", "1 / m.msg.get('x', 1)", "m.users", "str(m.msg['x'])"),
        *(
            "m.msg.get('x') == %(n)s",
            "m.msg['x'] > 0",
            "m.timestamp",
            "{1: 2}",
            "1 / 3",
            "10 ** 30",
        ),
        *("frozenset(m.users)", "len(m.msg['y'])", "(u.name for u in m.users)", "m.category * 99"),
    )
)
clauses = st.sampled_from(
    (
        *("", "", "", " if m.msg['x']", " if 'x' in m.msg", " if m.number %% 2 if m.msg['y']"),
        *(" if m.msg.get('x') != %(n)s", " if m.users and m.users[0] == 'alice'"),
        " for u in m.msg['y']",
    )
)
forms = st.sampled_from(
    (
        *("len({{{loop}}})", "len(set({loop}))", "len(set([{loop}]))", "len(frozenset({loop}))"),
        *("sum({loop})", "sum([{loop}])", "max({loop})", "min({loop})", "max([{loop}])"),
        *("max(({loop}), default=0)", "min([{loop}], default=None)", "len([{loop}])"),
        *("any({loop})", "all({loop})", "any([{loop}])", "all([{loop}])"),
    )
)
expressions = st.builds(
    lambda form, element, clause, source: form.format(loop=f"{element} for m in {source}{clause}"),
    forms,
    elements,
    clauses,
    st.sampled_from(("query", "query.all()")),
)


@example("sum(m.msg.get('x') for m in query)", [Past(0, '{"x": 0.1}'), Past(1, "{}")], 0)
@given(text=expressions, past=messages, value=st.sampled_from((0, 1, "a")))
@examples(max_examples=size(600, 20_000), deadline=None)
def test_a_fold_is_what_the_expression_makes_of_all_messages(
    text: str, past: list[Past], value: Any
) -> None:
    expression = operation(text)
    filled = (value,) if expression.paths else ()
    fold = expression.fold
    assert fold is not None, text
    running = RunningFold(fold)
    for number in range(len(past) + 1):
        expected = outcome(partial(expression, Query(past[:number]), filled))
        try:
            assert outcome(partial(running.result, filled)) == expected
            assert outcome(partial(running.copy().result, filled)) == expected
        except NotKept:
            return
        if number < len(past):
            running.add(take(fold, past[number], filled))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("len({m.msg['x'] for m in query.all()})", 2),
        ("len(set([m.users[0].name for m in query]))", 1),
        ("sum(m.msg['x'] for m in query)", 5),
        ("max(len(m.msg['y']) for m in query)", 2),
        ("len([m.msg['x'] for m in query])", 3),
        ("any(x for m in query for x in m.msg['y'])", False),
        ("sum(m.topic.endswith('c') - m.topic.endswith('k') for m in query)", 3),
    ],
)
def test_simple_values_are_kept(text: str, expected: object) -> None:
    fold = operation(text).fold
    assert fold is not None
    running = RunningFold(fold)
    for x in (1, 2, 2):
        past = Past(1, f'{{"x": {x}, "y": [0, ""]}}', users=[Name("alice")])
        running.add(take(fold, past, ()))
    assert running.result() == expected


@pytest.mark.parametrize(
    "text",
    [
        "sum({m.msg['x'] for m in query})",
        "len({m for m in query})",
        "max(m.msg['x'] for m in query) + 1",
        "max((m.msg['x'] for m in query), default=1 / 0)",
        "max((m.msg['x'] for m in query), key=len)",
        "sum((m.msg['x'] for m in query), 5)",
        "any(m.agent for m in query)",
        "any(getattr(m, 'agent') for m in query)",
        "len({m.msg.pop('x') for m in query})",
        "len({m.msg['x'] for m in query if query.count()})",
        "len({open(m.msg['x']) for m in query})",
        "len({n.msg['x'] for m in query for n in query})",
        "len({m.msg['x']: 1 for m in query})",
        "len({m.msg['x'] for m in query.filter_by(topic='a')})",
        "len({(y := m.msg['x']) for m in query})",
        "len({datetime.datetime.now() for m in query})",
    ],
)
def test_what_does_more_than_to_look_at_each_message_is_no_fold(text: str) -> None:
    assert operation(text).fold is None


def test_a_set_that_grows_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_values, "MOST_DISTINCT", 3)
    fold = operation("len({m.number for m in query})").fold
    assert fold is not None
    running = RunningFold(fold)
    for number in range(3):
        running.add(take(fold, Past(number, "{}"), ()))
    assert running.result() == 3
    for number in range(9):
        running.add(take(fold, Past(number, "{}"), ()))
    with pytest.raises(NotKept):
        running.result()
    assert running.size == 0


def test_what_was_raised_for_a_message_does_not_keep_the_message() -> None:
    fold = operation("len({m.msg.lower() for m in query})").fold
    assert fold is not None

    error = take(fold, Past(1, "[]"), ()).error

    assert isinstance(error, AttributeError)
    assert str(error) == "'list' object has no attribute 'lower'"
    assert error.obj is error.__traceback__ is error.__context__ is None
    running = RunningFold(fold)
    running.add(Taken(error=error))
    for _ in range(2):
        with pytest.raises(AttributeError, match="'list' object has no attribute 'lower'"):
            running.result()
    assert error.__traceback__ is error.__context__ is None


@example("max(m.msg['x'] for m in query)", [Past(0, '{"x": 1}'), Past(1, '{"x": true}')], [1, 0], 0)
@given(
    text=expressions,
    past=messages,
    order=st.permutations(range(8)),
    value=st.sampled_from((0, 1, "a")),
)
@examples(max_examples=size(300, 20_000), deadline=None)
def test_late_messages_are_added_unless_the_order_matters(
    text: str, past: list[Past], order: list[int], value: Any
) -> None:
    expression = operation(text)
    filled = (value,) if expression.paths else ()
    fold = expression.fold
    assert fold is not None, text
    running, last = RunningFold(fold), (datetime.min, 0)
    added: list[Past] = []
    for each in (past[number] for number in order if number < len(past)):
        position = each.timestamp, each.number
        try:
            fold_cache._add_one(running, take(fold, each, filled), position, last)
        except fold_cache._OutOfOrder:
            return
        last = max(last, position)
        added = sorted([*added, each], key=lambda each: each.number)
        try:
            found = outcome(partial(running.result, filled))
        except NotKept:
            return
        assert found == outcome(partial(expression, Query(added), filled))
