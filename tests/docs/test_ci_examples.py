"""docs/rule-authors.rst: what it shows of continuous integration works."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import GOOD, fedbadges
from support.rule_text import complete

PAGE = (Path(__file__).parents[2] / "docs/rule-authors.rst").read_text()
TESTS = """\
tests:
- name: one is not enough
  incoming:
  - {topic: org.fedoraproject.prod.git.receive, msg: {user: alice}, awards: {}}
"""


def example(server: str) -> Any:
    """Return the configuration that the page shows for a server."""
    (found,) = re.findall(rf"^On {server}, .*::\n\n((?:    .*\n|\n)+)", PAGE, re.MULTILINE)
    return yaml.safe_load(found)


def run(line: str) -> int:
    """Run a line of an example, with what it prints in the file that it names."""
    words = re.sub(" \\|\\| failed=1$", "", line)
    command, _, target = words.partition(" > ")
    done = fedbadges(*shlex.split(command)[1:])
    if target:
        Path(target).write_text(done.stdout)
    return done.exit_code


@pytest.fixture(autouse=True)
def _rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a repository with one rule and its test."""
    monkeypatch.chdir(tmp_path)
    Path("rules").mkdir()
    Path("rules/a.yml").write_text(complete(f"{GOOD}name: A\n"))
    Path("rules/a.yml.test").write_text(TESTS)


def test_workflow_for_github_uploads_what_check_writes() -> None:
    steps = example("GitHub")["jobs"]["rules"]["steps"]
    lines = [each["run"] for each in steps if each.get("run", "").startswith("fedbadges ")]

    assert [run(line) for line in lines] == [0, 0]
    (upload,) = [each["with"] for each in steps if "with" in each]
    assert json.loads(Path(upload["sarif_file"]).read_text())["version"] == "2.1.0"


def test_job_for_gitlab_has_the_reports_that_the_commands_write() -> None:
    job = example("GitLab")["rules"]
    lines = [line for line in job["script"] if line.startswith("fedbadges ")]

    assert [run(line) for line in lines] == [0, 0]
    reports = job["artifacts"]["reports"]["junit"]
    assert ["<testsuites " in Path(report).read_text() for report in reports] == [True, True]
