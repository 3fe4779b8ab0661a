"""Logs in JSON: the pairs of an event are fields, whatever is in them."""

import ast
import io
import json
import logging
import logging.config
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedbadges.util.logs import get_logger

PAGE = (Path(__file__).parents[2] / "docs/monitoring.rst").read_text()


def documented() -> dict[str, Any]:
    """Return the ``logging`` that the page shows."""
    section = PAGE.partition("\nLogs in JSON\n")[2]
    text = re.search(r"config = (\{.*?^    \})", section, re.M | re.S)
    assert text is not None
    return ast.literal_eval(text[1])["logging"]


class Log:
    def __init__(self, stream: io.StringIO, logger: logging.Logger) -> None:
        self.stream = stream
        self.logger = logger

    def lines(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.stream.getvalue().splitlines()]
        self.stream.seek(0)
        self.stream.truncate()
        return found


@pytest.fixture(scope="module")
def log() -> Iterator[Log]:
    formatter = documented()["formatters"]["json"]
    stream = io.StringIO()
    configurator = logging.config.DictConfigurator({"version": 1})  # type: ignore[no-untyped-call]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(configurator.configure_formatter(formatter))
    logger = logging.getLogger("fedbadges.test_json_logs")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield Log(stream, logger)
    logger.removeHandler(handler)


def test_pairs_of_an_event_are_fields(log: Log) -> None:
    get_logger(log.logger.name).warning(
        "Awarded badge", badge="a b", ms=3, seconds=0.5, known=True, user=None, paths=["x", "y"]
    )

    (line,) = log.lines()
    assert line.pop("timestamp").startswith("20")
    assert line == {
        "level": "WARNING",
        "logger": log.logger.name,
        "event": "Awarded badge",
        "badge": "a b",
        "ms": 3,
        "seconds": 0.5,
        "known": True,
        "user": None,
        "paths": "x,y",
    }


def test_lines_of_other_libraries_have_their_text(log: Log) -> None:
    log.logger.warning("seen %s", "x")

    (line,) = log.lines()
    assert line["event"] == "seen x"


def test_traceback_is_a_field(log: Log) -> None:
    try:
        raise KeyError("x")
    except KeyError:
        get_logger(log.logger.name).exception("Something failed")

    (line,) = log.lines()
    assert "KeyError" in line["exc_info"]
    assert line["event"] == "Something failed"


@given(
    name=st.from_regex(r"[a-z_]{1,12}", fullmatch=True).filter(
        lambda name: name not in ("exc_info", "stack_info", "stacklevel", "extra", "msg", "level")
    ),
    value=st.one_of(st.text(), st.floats(), st.integers(), st.binary()),
)
def test_every_field_is_one_line_of_json_and_takes_no_other_s_place(
    log: Log, name: str, value: object
) -> None:
    get_logger(log.logger.name).warning("Event", **{name: value})

    (line,) = log.lines()
    assert (line["event"], line["logger"]) == ("Event", log.logger.name)


def test_long_text_is_cut(log: Log) -> None:
    get_logger(log.logger.name).warning("Event", reason="x" * 10_000)

    (line,) = log.lines()
    assert len(line["reason"]) == 500


def test_documented_configuration_can_be_used() -> None:
    logging.config.DictConfigurator(documented())  # type: ignore[no-untyped-call]
