"""``--watch`` of ``check`` and ``test``: again whenever a file changes, until Ctrl-C."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.command import GOOD
from support.rule_test_files import PUSH, counting, write_suite
from support.rule_text import complete
from support.waiting import eventually

from fedbadges.cli.errors import CannotRun
from fedbadges.cli.watching import Outcome, run_repeatedly

COMMAND = Path(sys.executable).with_name("fedbadges")
WAITING = "Waiting for changes; Ctrl-C ends this\n"
TESTS = f"""{PUSH}
tests:
- name: the second push brings it
  incoming:
  - {{like: push, from: alice, awards: {{}}}}
  - {{like: push, from: alice, awards: {{alice: test-badge}}}}
"""


class Watching:
    """A command that watches, and what it has shown so far."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._shown = directory / "shown"
        with self._shown.open("wb") as output:
            self.process = subprocess.Popen(
                [COMMAND, *arguments], cwd=directory, stdout=output, stderr=subprocess.STDOUT
            )

    def shows(self, text: str) -> None:
        """Wait until it has shown this, in the last run."""

        def done() -> bool:
            runs = self._shown.read_text().split(WAITING)
            return len(runs) > 1 and text in runs[-2]

        eventually(done, f"a run with {text!r}")

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait()


Start = Callable[..., Watching]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Watching] = []

    def call(*arguments: str) -> Watching:
        started.append(Watching(tmp_path, *arguments, "--watch"))
        return started[-1]

    yield call
    for each in started:
        each.process.kill()
        each.process.wait()


def test_check_runs_again_when_a_rule_changes(tmp_path: Path, start: Start) -> None:
    rule = tmp_path / "rules/a.yml"
    rule.parent.mkdir()
    rule.write_text(complete(GOOD))
    watching = start("check", "rules")

    watching.shows("nothing found in 1 file")
    (rule.parent / "b.yml").write_text("topc: 1\n")
    watching.shows("in 2 files")
    for file in rule.parent.iterdir():
        file.unlink()
    watching.shows("rules: no file there ends in .yml or .yaml")
    rule.write_text(complete(GOOD + "trigger:\n  lambda: msg['i'] is 1\n"))
    watching.shows("[is-literal]")

    assert watching.interrupt() == 1


def test_test_runs_again_when_a_rule_or_its_test_changes(tmp_path: Path, start: Start) -> None:
    path = write_suite(tmp_path / "rules", TESTS, counting(2))
    watching = start("test", "rules/rule.yml.test")

    watching.shows("1 test passed")
    path.with_suffix("").write_text(counting(3))
    watching.shows("0 tests passed, 1 failed")
    path.write_text(TESTS.replace("awards: {alice: test-badge}", "awards: {}"))
    watching.shows("1 test passed")

    assert watching.interrupt() == 0


def test_ctrl_c_within_a_run_ends_it(tmp_path: Path) -> None:
    outcomes = iter([Outcome(1, complete=False)])

    assert run_repeatedly(lambda: next(outcomes), [tmp_path]) == 1


def test_run_that_is_impossible_is_tried_again_after_a_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.yml"

    def run() -> Outcome:
        if not path.exists():
            path.write_text("")
            raise CannotRun("there is no rule")
        return Outcome(0, complete=False)

    assert run_repeatedly(run, [tmp_path]) == 0
    assert capsys.readouterr().err == f"there is no rule\n{WAITING}"
