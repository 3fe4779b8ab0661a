"""Text that a message or a file made up stays on one line, in errors and in the terminal."""

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import exc

from fedbadges.errors import MissingValue, Place, Problem, RuleError, SettingsError
from fedbadges.util.http import error_reason
from fedbadges.util.text import describe_error, printable, short_repr

HOSTILE = "a\u2028b\x1b[31mc\nd"


@given(st.text())
def test_printable_text_is_on_one_line(text: str) -> None:
    assert printable(text).isprintable()
    assert len(printable(text).splitlines()) <= 1


@given(st.text().filter(str.isprintable))
def test_printable_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    "text",
    [
        str(MissingValue(HOSTILE)),
        str(Problem(Place(HOSTILE, 1, 1), HOSTILE)),
        str(RuleError([Problem(Place(HOSTILE, 1, 1), HOSTILE)])),
        str(SettingsError([HOSTILE])),
        short_repr(ValueError(HOSTILE)),
        describe_error(ValueError(HOSTILE)),
        describe_error(exc.DBAPIError("SELECT 1", {}, ValueError(HOSTILE))),
        error_reason(requests.ConnectionError(HOSTILE)),
    ],
)
def test_errors_are_on_one_line_whatever_is_in_their_text(text: str) -> None:
    assert text.isprintable()


def test_a_long_error_of_a_database_is_truncated() -> None:
    error = exc.DBAPIError("SELECT 1", {}, ValueError("x" * 1000))

    assert len(describe_error(error)) == 200


def test_the_reason_of_a_failed_request_hides_credentials() -> None:
    error = requests.ConnectionError("no answer from https://me:secret@example.org/ca.crt")

    assert error_reason(error) == "no answer from https://example.org/ca.crt"
