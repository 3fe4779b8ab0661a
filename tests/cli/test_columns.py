"""Columns of text, which people read on terminals."""

import pytest

from fedbadges.cli.terminal.columns import padded, width_of


@pytest.mark.parametrize(
    ("text", "expected"), [("alice", "alice  "), ("dürer", "dürer  "), ("日本語", "日本語 ")]
)
def test_text_is_filled_up_by_what_it_takes_on_a_terminal(text: str, expected: str) -> None:
    assert padded(text, 7) == expected
    assert width_of(expected) == 7
