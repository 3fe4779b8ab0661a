"""``fedbadges test`` as a command: its output, its formats and its exit codes."""

import json
import re
import signal
import sys
from pathlib import Path

import pytest
from support.command import fedbadges
from support.rule_test_files import PUSH, counting, write_suite
from support.terminal import on_terminal

from fedbadges.ruletests.runner import RuleTestRunner
from fedbadges.ruletests.suite import Suite

COMMAND = Path(sys.executable).with_name("fedbadges")

GOOD = f"""{PUSH}
tests:
- name: the second push brings it
  incoming:
  - {{like: push, from: alice, awards: {{}}}}
  - {{like: push, from: alice, awards: {{alice: test-badge}}}}
- name: each counts alone
  incoming:
  - {{like: push, from: [alice, bob], awards: {{}}}}
"""
MISTAKEN = GOOD.replace("like: push", "lik: push", 1)

GOT = "nobody: the criteria do not hold for alice"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the command in an empty directory, as somebody who has nothing but rules."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def write(directory: str, tests: str, at_least: int = 2) -> Path:
    return write_suite(Path(directory), tests, counting(at_least))


def test_passing_tests_print_a_line_for_each_file_and_exit_with_0() -> None:
    write("rules/a", GOOD)
    write("rules/b", GOOD)

    done = fedbadges("test", "rules")

    assert done.exit_code == 0
    assert done.stdout == (
        "rules/a/rule.yml.test: 2 tests passed\nrules/b/rule.yml.test: 2 tests passed\n"
    )
    assert done.stderr == "4 tests passed\n"


def test_failing_test_shows_its_place_and_exits_with_1() -> None:
    write("bad", GOOD, at_least=3)
    write("good", GOOD)

    done = fedbadges("test", "bad", "good")

    assert done.exit_code == 1
    assert done.stdout == (
        "bad/rule.yml.test: 1 test passed\n"
        "bad/rule.yml.test:7:3: failed: the second push brings it\n"
        "  bad/rule.yml.test:10:47:\n"
        "    expected: alice gets test-badge with incoming message 2\n"
        f"    got:      {GOT}\n"
        "good/rule.yml.test: 2 tests passed\n"
    )
    assert done.stderr == "3 tests passed, 1 failed\n"


def test_mistakes_are_listed_the_rest_is_run_and_the_exit_code_is_2() -> None:
    write("a", MISTAKEN)
    write("b", GOOD, at_least=3)
    write("c", GOOD)
    Path("c/rule.yml").write_text("topc: 1\n")

    done = fedbadges("test", ".")

    assert done.exit_code == 2
    lines = done.stdout.splitlines()
    assert lines[1].startswith("a/rule.yml.test:9:6: error: unknown key 'lik' in an incoming")
    assert lines[-5] == "b/rule.yml.test: 1 test passed"
    assert all(line.startswith("c/rule.yml:1:1: error: ") for line in lines[2:-5])
    assert done.stderr == "1 test passed, 1 failed, 9 mistakes found\n"


def test_results_as_json_have_everything() -> None:
    write("bad", GOOD, at_least=3)
    write("mistaken", MISTAKEN)

    done = fedbadges("test", "--format", "json", "bad", "mistaken")

    assert done.exit_code == 2
    found = json.loads(done.stdout)
    assert [mistake.pop("message").partition(" ")[0] for mistake in found["mistakes"]] == [
        "missing",
        "unknown",
    ]
    place = {"path": "bad/rule.yml.test", "column": 3}
    assert found == {
        "passed": 1,
        "failed": 1,
        "complete": True,
        "mistakes": [
            {"path": "mistaken/rule.yml.test", "line": 9, "column": 5},
            {"path": "mistaken/rule.yml.test", "line": 9, "column": 6},
        ],
        "tests": [
            {
                **place,
                "line": 7,
                "name": "the second push brings it",
                "passed": False,
                "differences": [
                    {
                        "path": "bad/rule.yml.test",
                        "line": 10,
                        "column": 47,
                        "incoming": 2,
                        "expected": "alice gets test-badge with incoming message 2",
                        "got": GOT,
                    }
                ],
            },
            {**place, "line": 11, "name": "each counts alone", "passed": True, "differences": []},
        ],
    }


def test_filter_runs_matching_tests_only() -> None:
    write("bad", GOOD, at_least=3)

    done = fedbadges("test", "--filter", "counts", "bad")

    assert (done.exit_code, done.stdout) == (0, "bad/rule.yml.test: 1 test passed\n")


def test_filter_that_matches_nothing_exits_with_2() -> None:
    write("good", GOOD)

    done = fedbadges("test", "--filter", "third", "good")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "no test there has 'third' in its name\n"


def test_test_file_may_have_any_name() -> None:
    path = write("rules", "", at_least=2).with_name("any.yml")
    path.write_text(f"rules: [rule.yml]\n{GOOD}")

    assert fedbadges("test", path).stdout == "rules/any.yml: 2 tests passed\n"


def test_each_file_is_run_once_however_it_is_reached() -> None:
    path = write("rules", GOOD)
    Path("link").symlink_to("rules")

    done = fedbadges("test", path, "rules", "link", "./rules/../rules")

    assert done.stdout == "rules/rule.yml.test: 2 tests passed\n"


def test_directory_without_tests_exits_with_2() -> None:
    write("rules", GOOD).unlink()

    done = fedbadges("test", "rules")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "rules: no file there ends in .yml.test or .yaml.test\n"


def test_unreadable_file_is_a_mistake() -> None:
    Path("rules").mkdir()
    Path("rules/gone.yml.test").symlink_to("nowhere")

    done = fedbadges("test", "rules")

    assert done.exit_code == 2
    assert done.stdout == (
        "rules/gone.yml.test:1:1: error: cannot be read: No such file or directory\n"
    )


def test_error_of_a_rule_is_logged_as_by_the_daemon(
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write("rules", GOOD)
    text = counting(2).replace("topic: git.receive", "lambda: \"msg['msg']['a']\"")
    path.with_name("rule.yml").write_text(text)

    done = fedbadges("test", "rules")

    assert done.exit_code == 1
    assert (
        "Rule failed, so the message does not match rule=rules/rule.yml:1:1 msg_id=test-1"
        in caplog.text
    )
    assert "KeyError('a')" in caplog.text


def test_ctrl_c_shows_the_results_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    write("a", GOOD, at_least=3)
    write("b", GOOD)
    load = RuleTestRunner.load

    def interrupt(runner: RuleTestRunner, path: Path) -> Suite:
        if "b" in path.parts:
            signal.raise_signal(signal.SIGINT)
        return load(runner, path)

    monkeypatch.setattr(RuleTestRunner, "load", interrupt)
    done = fedbadges("test", "--format", "json", ".")

    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["passed"], found["failed"], found["complete"]) == (1, 1, False)
    assert done.stderr == "Stopped before all tests were run: 1 test passed, 1 failed\n"


def test_ctrl_c_before_any_result_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    write("a", GOOD)
    monkeypatch.setattr(RuleTestRunner, "load", lambda *_: signal.raise_signal(signal.SIGINT))

    done = fedbadges("test", "a")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "Stopped before all tests were run: 0 tests passed\n"


def test_names_of_tests_are_escaped() -> None:
    name = '"[red]a[/red] \\e[31mb"'
    write("bad", GOOD.replace("the second push brings it", name), at_least=3)

    done = fedbadges("test", "bad")

    assert "failed: [red]a[/red] \\x1b[31mb\n" in done.stdout


def test_failures_on_a_terminal_have_colours() -> None:
    write("bad", GOOD, at_least=3)

    shown = on_terminal(COMMAND, "test", "bad")

    assert "\x1b[1;31mfailed" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r", "")
    assert f"    got:      {GOT}\n" in plain
    assert "bad/rule.yml.test:7:3: failed: the second push brings it\n" in plain
