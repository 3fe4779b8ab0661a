"""JSON from elsewhere."""

import gc
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedbadges.util.json_text import MAX_DEPTH, nests_too_deep, parse_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_parsed_as_by_python(value: Any) -> None:
    text = json.dumps(value)

    assert parse_json(text) == parse_json(text.encode()) == value


@given(st.text(alphabet='[]{}",:\\ 1') | st.binary())
def test_no_text_gives_another_error_than_value_error(text: str | bytes) -> None:
    try:
        parse_json(text)
    except ValueError:
        return


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 1_000 + "1" + "}" * 1_000])
def test_json_that_is_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"nested more than {MAX_DEPTH} deep"):
        parse_json(text)


@pytest.mark.parametrize("depth", [1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 900])
@pytest.mark.parametrize("brackets", ["[ ]", '{"a": }', '["[", ,{}]'])
def test_parsed_json_is_too_deep_where_its_text_is(brackets: str, depth: int) -> None:
    opening, closing = brackets.split(" ")
    parsed = json.loads(opening * (depth - 1) + "[]" + closing * (depth - 1))

    assert nests_too_deep(parsed) == (depth > MAX_DEPTH)


def test_json_that_is_nested_too_deep_leaves_room_for_what_is_cleaned_up() -> None:
    class Cleaned:
        def __init__(self) -> None:
            self.own = self

        def __del__(self) -> None:
            cleaned.append(str([1]))

    cleaned: list[str] = []
    gc.collect()
    Cleaned()

    with pytest.raises(ValueError, match="nested"):
        parse_json("[" * 100_000)
    gc.collect()

    assert cleaned == ["[1]"]


@pytest.mark.parametrize("text", ["[" * MAX_DEPTH + "]" * MAX_DEPTH, json.dumps("[" * 10_000)])
def test_brackets_side_by_side_or_in_strings_are_not_nesting(text: str) -> None:
    assert parse_json(text) == json.loads(text)


def test_text_with_an_unfinished_string_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="Unterminated"):
        parse_json("[" + "[]," * MAX_DEPTH + '"' + '\\"' * 1_000_000)


def test_text_with_many_escapes_takes_memory_in_proportion_to_its_size() -> None:
    text = "[" + "[]," * MAX_DEPTH + '"' + r"\n" * 500_000 + '"]'

    tracemalloc.start()
    parse_json(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 10 * len(text)


@pytest.mark.parametrize("string", [r"a\\", r"\\\"[", r"]\"]", r"\\\\\"]", ""])
def test_quotes_within_strings_end_none(string: str) -> None:
    parse_json(f'["{string}"' + ",[]" * MAX_DEPTH + "]")

    with pytest.raises(ValueError, match="nested"):
        parse_json(f'["{string}",' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "]")
