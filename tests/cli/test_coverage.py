"""``fedbadges test --coverage``: what of the rules no test reaches."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.command import fedbadges
from support.rule_test_files import make_runner
from support.rule_text import complete

from fedbadges.cli.coverage import Covered
from fedbadges.ruletests.coverage import Coverage

RULE = """\
name: Test Badge
trigger:
  all:
  - topic: {any: [git.receive, git.push]}
  - lambda: msg['msg']['minor'] == 0
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}
  operation: count
  condition: {greater than or equal to: 2}
recipient: "%(msg.user)s"
"""
TESTS = """\
messages:
  push: {topic: org.fedoraproject.prod.git.push, msg: {user: "%(from)s", minor: 0}}
  receive: {topic: org.fedoraproject.prod.git.receive, msg: {user: "%(from)s", minor: 0}}
tests:
"""
PUSH = "git.push"
CRITERIA = "datanommer count, greater than or equal to 2"
MINOR = "lambda msg['msg']['minor'] == 0"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the command in an empty directory, as somebody who has nothing but rules."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def write(*tests: str, name: str = "rule", rule: str = RULE) -> Path:
    """Write a rule, and its tests if there are any: each is a message, and who gets the badge."""
    Path("rules").mkdir(exist_ok=True)
    path = Path("rules", f"{name}.yml")
    path.write_text(complete(rule))
    if tests:
        items = "".join(
            f"- {{name: number {n}, incoming: [{one}]}}\n" for n, one in enumerate(tests)
        )
        path.with_name(f"{path.name}.test").write_text(TESTS + items)
    return path


def missing(*arguments: str) -> list[str]:
    """Return what is not covered, without its place, in the rules of the working directory."""
    done = fedbadges("test", "--coverage", *arguments, "rules")
    return [
        line.partition("uncovered: ")[2] for line in done.stdout.splitlines() if "uncovered" in line
    ]


BOTH_TOPICS = (
    "{like: push, from: a, count: 2, no_awards: {b: test-badge}}",
    "{like: receive, from: a, count: 1, awards: {}}",
)
MINOR_EDIT = "{like: push, from: a, msg: {minor: 1}, awards: {}}"


def test_rule_with_every_answer_is_covered_completely() -> None:
    write(*BOTH_TOPICS, MINOR_EDIT)

    done = fedbadges("test", "--coverage", "rules")

    assert done.exit_code == 0
    assert done.stdout == "rules/rule.yml.test: 3 tests passed\n"
    assert done.stderr == "3 tests passed; 6 of 6 branches covered (100 %)\n"


def test_missing_answer_of_a_lambda_has_its_place() -> None:
    write(*BOTH_TOPICS)

    done = fedbadges("test", "--coverage", "rules")

    line = next(n for n, text in enumerate(complete(RULE).splitlines(), 1) if "minor" in text)
    assert done.stdout.splitlines()[1:] == [
        f"rules/rule.yml:{line}:5: uncovered: holds in every test: {MINOR}"
    ]
    assert done.stderr == "2 tests passed; 5 of 6 branches covered (83 %)\n"


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        (
            ["{like: receive, from: a, count: 2, no_awards: {b: test-badge}}", MINOR_EDIT],
            [],
        ),
        (
            ["{like: receive, from: a, count: 2, no_awards: {b: test-badge}}"],
            [
                "no test gets as far as this: topic git.push",
                f"holds in every test: {MINOR}",
            ],
        ),
        (
            ["{like: push, from: a, awards: {}}"],
            ["topic git.receive", MINOR, f"holds in no test: {CRITERIA}"],
        ),
        (
            ["{like: push, from: a, count: 2, no_awards: {b: test-badge}}", MINOR_EDIT],
            ["holds in no test: topic git.receive"],
        ),
        # The lambda fails, and a topic alone does not make it a test.
        (
            ["{topic: a.b.prod.git.push, from: a, awards: {}}"],
            ["no message of a test triggers this rule"],
        ),
    ],
)
def test_what_no_test_reaches_is_named(tests: list[str], expected: list[str]) -> None:
    write(*tests)

    found = missing()

    assert len(found) == len(expected)
    assert all(part in text for text, part in zip(found, expected, strict=True)), found


def test_condition_is_missing_from_either_side() -> None:
    write("{like: push, from: a, awards: {}}", "{like: receive, from: a, awards: {}}", MINOR_EDIT)
    assert missing() == [f"holds in no test: {CRITERIA}"]

    rule = RULE.replace("equal to: 2", "equal to: 3").replace("    users", "users")
    write(
        "{like: push, from: [a, b], count: 1, awards: {}}",
        "{like: receive, from: a, count: 3, no_awards: {b: test-badge}}",
        MINOR_EDIT,
        rule=rule,
    )
    assert missing() == []


def test_first_time_need_not_fail() -> None:
    write(*BOTH_TOPICS, MINOR_EDIT, rule=RULE.replace("equal to: 2", "equal to: 1"))

    assert missing() == []


def test_rule_without_a_test_is_named_if_a_directory_is_given() -> None:
    tested = write(*BOTH_TOPICS, MINOR_EDIT)
    write(name="other", rule=RULE.replace("Test Badge", "Other"))
    write(name="broken", rule="topc: 1\n")

    assert missing() == ["no test has this rule"]
    done = fedbadges("test", "--coverage", f"{tested}.test")
    assert done.stderr == "3 tests passed; 6 of 6 branches covered (100 %)\n"


def test_rule_tested_from_elsewhere_is_tested_once() -> None:
    write(*BOTH_TOPICS, MINOR_EDIT)
    Path("rules/more").mkdir()
    Path("rules/rule.yml.test").rename("rules/more/any.yml.test")
    text = Path("rules/more/any.yml.test").read_text()
    Path("rules/more/any.yml.test").write_text(f"rules: [../rule.yml]\n{text}")
    Path("rules/more/any.yml").write_text(complete(RULE.replace("Test Badge", "Other")))

    assert missing() == ["no test has this rule"]


def test_only_tests_that_run_count() -> None:
    write(*BOTH_TOPICS, MINOR_EDIT)

    assert missing("--filter", "0") == [
        "holds in no test: topic git.receive",
        f"holds in every test: {MINOR}",
    ]


def test_coverage_as_json_and_as_annotations() -> None:
    write(*BOTH_TOPICS)

    found = json.loads(fedbadges("test", "--coverage", "--format", "json", "rules").stdout)
    github = fedbadges("test", "--coverage", "--format", "github", "rules").stdout

    (gap,) = found["coverage"]["missing"]
    assert found["coverage"] | {"missing": []} == {"branches": 6, "covered": 5, "missing": []}
    assert (gap["path"], gap["column"]) == ("rules/rule.yml", 5)
    assert gap["message"] == f"holds in every test: {MINOR}"
    assert github.startswith("::notice file=rules/rule.yml,")


def test_results_without_coverage_say_nothing_of_it() -> None:
    write(*BOTH_TOPICS)

    done = fedbadges("test", "--format", "json", "rules")

    assert "coverage" not in json.loads(done.stdout)
    assert done.stderr == "2 tests passed\n"


@pytest.mark.parametrize(("least", "code"), [("84", 1), ("83", 0)])
def test_too_little_coverage_exits_with_1(least: str, code: int) -> None:
    write(*BOTH_TOPICS)

    done = fedbadges("test", "--coverage-min", least, "rules")

    assert done.exit_code == code
    assert "uncovered" in done.stdout


@pytest.mark.parametrize(
    ("branches", "reached", "percent"), [(0, 0, 100), (1000, 999, 99), (3, 3, 100), (3, 0, 0)]
)
def test_everything_is_100_percent_and_nothing_else(
    branches: int, reached: int, percent: int
) -> None:
    assert Covered(branches, reached, ()).percent == percent


def test_coverage_changes_no_result(tmp_path: Path) -> None:
    """The engine is observed, which must make no difference to whom it awards."""
    for path in (Path(__file__).parents[2] / "rules/git").iterdir():
        # Rules that need more than their tests say, so that there are differences to compare.
        text = re.sub(r"(equal to: +)(\d+)$", r"\g<1>1\2", path.read_text(), flags=re.MULTILINE)
        (tmp_path / path.name).write_text(text)
    runner = make_runner()
    suites = [runner.load(path) for path in sorted(tmp_path.glob("*.test"))]

    def results(coverage: Coverage | None) -> list[Any]:
        return [runner.run(suite, test, coverage) for suite in suites for test in suite.tests]

    found = results(None)
    assert any(found)
    assert results(Coverage()) == found


def test_each_field_of_a_trigger_has_two_answers() -> None:
    fields = "trigger:\n  topic: git.push\n  fields: {msg.minor: 0, msg.size: {greater than: 9}}\n"
    rule = RULE[: RULE.index("trigger")] + fields + RULE[RULE.index("criteria") :]
    big = "{like: push, from: a, msg: {size: 10}, awards: {}}"
    write(big, big.replace("0}", "0, minor: 1}"), rule=rule)

    assert missing() == [
        "holds in every test: field msg.size: {greater than: 9}",
        f"holds in no test: {CRITERIA}",
    ]


def test_each_comparison_of_a_field_counts() -> None:
    fields = """\
trigger:
  topic: git.push
  fields:
    msg.branch: {any: [main, rawhide, {starts with: f}]}
    msg.old: {not: {exists: true}}
"""
    rule = RULE[: RULE.index("trigger")] + fields + RULE[RULE.index("criteria") :]
    write(
        "{like: push, from: a, count: 2, msg: {branch: main}, awards: {a: test-badge}}",
        "{like: push, from: a, msg: {branch: f40}, awards: {}}",
        # The second message is of no interest to the rule, so that nothing in it counts.
        "{like: push, from: a, msg: {branch: topic}, awards: {}}, "
        "{topic: org.fedoraproject.prod.a.b, from: a, msg: {branch: rawhide}, awards: {}}",
        rule=rule,
    )

    assert missing() == [
        'holds in no test: field msg.branch: "rawhide"',
        "holds in no test: field msg.old: {exists: true}",
    ]


def test_message_without_a_field_fails_what_is_said_of_it() -> None:
    fields = "trigger:\n  topic: git.push\n  fields: {msg.branch: main}\n"
    rule = RULE[: RULE.index("trigger")] + fields + RULE[RULE.index("criteria") :]
    write(
        "{like: push, from: a, count: 2, msg: {branch: main}, awards: {a: test-badge}}",
        "{like: push, from: a, awards: {}}",
        rule=rule,
    )

    assert missing() == []


def test_each_threshold_of_a_series_counts_and_the_rest_once() -> None:
    rule = complete(RULE).replace("name: Test Badge\n", "series: Test\n")
    rule = rule.replace("  condition: {greater than or equal to: 2}\n", "")
    badges = [f"- {{name: Test {n}, threshold: {n}}}\n" for n in (2, 3, 4)]
    write("{like: push, from: a, count: 3, no_awards: {a: test-4}}")
    Path("rules/rule.yml").write_text(f"{rule}badges:\n{''.join(badges)}")

    done = fedbadges("test", "--coverage", "rules")

    assert missing() == [
        "holds in no test: topic git.receive",
        f"holds in every test: {MINOR}",
        "holds in no test: datanommer count, greater than or equal to 4",
    ]
    assert done.stderr.endswith("; 7 of 10 branches covered (70 %)\n")


def test_rule_without_criteria_has_the_branches_of_its_trigger() -> None:
    path = write("{like: push, from: a, awards: {a: test-badge}}")
    text = path.read_text()
    path.write_text(text[: text.index("criteria")] + text[text.index("recipient:") :])

    done = fedbadges("test", "--coverage", "rules")

    assert missing() == ["holds in no test: topic git.receive", f"holds in every test: {MINOR}"]
    assert done.stderr == "1 test passed; 2 of 4 branches covered (50 %)\n"
