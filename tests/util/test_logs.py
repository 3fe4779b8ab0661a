"""Log lines: a stable event, then fields that nothing in a message can break."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedbadges.util.logs import enable_loggers, format_value, get_logger


def test_log_fields_follow_the_event_in_order(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("fedbadges.test").warning("Awarded badge", badge="gardener", user="al ice", ms=12)

    assert caplog.messages == ['Awarded badge badge=gardener user="al ice" ms=12']


def test_a_percent_sign_in_a_log_field_is_not_formatted(caplog: pytest.LogCaptureFixture) -> None:
    get_logger("fedbadges.test").warning("Event", text="100%s")

    assert caplog.messages == ["Event text=100%s"]


def test_exc_info_logs_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        get_logger("fedbadges.test").error("Event", exc_info=True, error=error)

    (record,) = caplog.records
    assert record.getMessage() == "Event error=ValueError('broken')"
    assert record.exc_info is not None


def test_fields_are_not_formatted_if_the_level_is_disabled() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise AssertionError("formatted")

    log = get_logger("fedbadges.test.off")
    log.logger.setLevel(logging.ERROR)

    log.debug("Event", value=Unprintable())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("alice", "alice"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("two\nlines\u2028here", r'"two\nlines\u2028here"'),
        (None, "None"),
        (True, "True"),
        (7, "7"),
        (0.12345, "0.123"),
        (2.0, "2"),
        (["a", "b"], "a,b"),
        (Path("/etc/a b"), '"/etc/a b"'),
        (["a b"], '"a b"'),
        (ValueError("no"), "ValueError('no')"),
    ],
)
def test_values_are_written_as_logfmt(value: object, text: str) -> None:
    assert format_value(value) == text


def test_long_log_values_are_truncated() -> None:
    assert len(format_value("x" * 10_000)) == 500


@given(st.text())
def test_no_text_can_end_a_log_line_or_a_field(text: str) -> None:
    value = format_value(text)

    assert value.isprintable()
    if " " in value or "=" in value:
        assert value.startswith('"')
        assert value.endswith('"')
        assert '"' not in value[1:-1].replace("\\\\", "").replace('\\"', "")


def test_loggers_that_a_configuration_disables_can_be_enabled() -> None:
    logger = logging.getLogger("fedbadges.test_enabled")
    logger.disabled = True

    enable_loggers()

    assert not logger.disabled
