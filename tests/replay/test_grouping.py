"""A filter by a text around a value selects the messages in which the snippet is found."""

from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fedbadges.replay.grouping import Snippet
from fedbadges.rules.filters import MAX_TEXT

texts = st.text("ab\"' ", max_size=12)
around = st.text("ab\"' ", min_size=1, max_size=3)


@given(before=around, value=texts, after=around, text=texts, where=st.integers(0, 12))
@example(before='"', value="a", after='""', text='"a"""', where=12)
@example(before="aa", value="b", after="a", text="aaaaba", where=12)
@examples(max_examples=500, deadline=None)
def test_what_can_be_found_is_found_just_where_it_stands(
    before: str, value: str, after: str, text: str, where: int
) -> None:
    snippet, wanted = Snippet(before, after), before + value + after
    if not snippet.is_found(wanted):
        assert after in value + after[:-1]
        return
    for searched in (text, text[:where] + wanted + text[where:]):
        assert (wanted in snippet.find(searched)) is (wanted in searched)


def test_a_value_with_the_text_behind_it_cannot_be_found() -> None:
    snippet = Snippet('"user": "', '"')

    assert snippet.is_found('"user": "alice"')
    assert not snippet.is_found('"user": "al"ice"')
    assert not snippet.is_found('"name": "alice"')
    assert not snippet.is_found('"user": "')


def test_no_more_is_kept_of_a_message_than_a_filter_can_ask_for() -> None:
    found = Snippet("a", "b").find("a" * 3 * MAX_TEXT + "b")

    assert max(map(len, found)) <= MAX_TEXT + 1
    assert len(found) <= MAX_TEXT
