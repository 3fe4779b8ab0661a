"""A real hub with the ``logging`` that docs/monitoring.rst shows."""

import ast
import json
import re
from pathlib import Path

import pytest
from support.databases import Databases
from support.deployment import run_deployment
from support.rules import counting_rule
from support.waiting import eventually

RULES = {"first": counting_rule("First Step", "logger.first", 1)}
PAGE = (Path(__file__).parents[2] / "docs/monitoring.rst").read_text()


@pytest.mark.slow
@pytest.mark.started
def test_awards_are_logged_as_json(sqlite_database: Databases, tmp_path: Path) -> None:
    text = re.search(r"config = (\{\s+\"logging\".*?^    \})", PAGE, re.M | re.S)
    assert text is not None
    with run_deployment(
        tmp_path / "hub", sqlite_database, RULES, ast.literal_eval(text[1])
    ) as deployment:
        deployment.publish("logger.first", username="ann")
        deployment.wait_for_badge("ann", "first-step")
        (line,) = eventually(lambda: deployment.hub.lines_with('"Awarded badge"'), "the line")

    found = json.loads(line)
    assert (found["level"], found["badge"], found["user"]) == ("INFO", "first-step", "ann")
    assert isinstance(found["ms_since_sent"], int)
