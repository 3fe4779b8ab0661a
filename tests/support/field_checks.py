"""Strategies of hypothesis: what may be asked of a field, with what should come of it."""

import operator
from typing import Any

from hypothesis import strategies as st

JSON = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, -1.5, "", "a", "ab", "main", "1"]),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "main", "0"]), parts, max_size=2)
    ),
    max_leaves=4,
)
MESSAGES = st.dictionaries(st.sampled_from(["x", "y", "z"]), JSON)
NUMBERS = st.sampled_from([0, 1, 2, -1.5])
TEXTS = st.sampled_from(["", "a", "ab", "main", "%(msg.y)s", "a%(msg.z)s"])
SCALARS = st.sampled_from([None, True, False]) | NUMBERS | TEXTS
ORDER = {
    "greater than": operator.gt,
    "greater than or equal to": operator.ge,
    "less than": operator.lt,
    "less than or equal to": operator.le,
}
_COMPARED = st.one_of(
    st.tuples(st.sampled_from(["equal to", "is not", "contains"]), SCALARS),
    st.tuples(st.sampled_from(list(ORDER)), NUMBERS | TEXTS),
    st.tuples(st.sampled_from(["starts with", "ends with"]), TEXTS),
    st.tuples(st.just("exists"), st.booleans()),
    st.tuples(st.just("length"), st.integers(0, 2)),
    st.tuples(
        st.just("length"),
        st.tuples(st.sampled_from(list(ORDER)), st.integers(0, 2)).map(lambda pair: dict([pair])),
    ),
).map(lambda pair: dict([pair]))
CHECKS = st.recursive(
    SCALARS | _COMPARED,
    lambda parts: st.one_of(
        st.builds(
            lambda word, several: {word: several},
            st.sampled_from(["any", "all"]),
            st.lists(parts, min_size=1, max_size=3),
        ),
        parts.map(lambda part: {"not": part}),
        st.tuples(_COMPARED, _COMPARED).map(lambda pair: pair[0] | pair[1]),
    ),
    max_leaves=5,
)


def filled(text: Any, msg: dict[str, Any]) -> Any:
    """Return what a template of TEXTS gives; raise KeyError."""
    if text == "%(msg.y)s":
        return msg["y"]
    return f"a{msg['z']}" if text == "a%(msg.z)s" else text


def with_values(check: Any, msg: dict[str, Any]) -> Any:
    """Return a check with what the templates in it give; raise KeyError."""
    if isinstance(check, dict):
        return {name: with_values(each, msg) for name, each in check.items()}
    if isinstance(check, list):
        return [with_values(each, msg) for each in check]
    return filled(check, msg)


def expected(check: Any, msg: dict[str, Any]) -> bool | None:
    """Return what comes of a check of ``msg.x``, in the logic of three values."""
    if not isinstance(check, dict):
        check = {"equal to": check}
    answers = {entry(name, wanted, msg) for name, wanted in check.items()}
    return False if False in answers else None if None in answers else True


def entry(name: str, wanted: Any, msg: dict[str, Any]) -> bool | None:
    if name == "exists":
        return ("x" in msg) is wanted
    if name == "not":
        found = expected(wanted, msg)
        return None if found is None else not found
    if name in ("any", "all"):
        answers = {expected(each, msg) for each in wanted}
        decisive = name == "any"
        return decisive if decisive in answers else None if None in answers else not decisive
    if "x" not in msg:
        return None
    value = msg["x"]
    if name == "length":
        sized = isinstance(value, (str, list, dict))
        return sized and bool(expected(wanted, {"x": len(value)}))
    try:
        wanted = filled(wanted, msg)
    except KeyError:
        return None
    try:
        return compared(name, value, wanted)
    except TypeError:
        return False


def compared(name: str, value: Any, wanted: Any) -> bool:
    if name == "equal to":
        return bool(value == wanted)
    if name == "is not":
        return bool(value != wanted)
    if name == "contains":
        return wanted in value
    if name == "starts with":
        return bool(str.startswith(value, wanted))
    if name == "ends with":
        return bool(str.endswith(value, wanted))
    return bool(ORDER[name](value, wanted))
