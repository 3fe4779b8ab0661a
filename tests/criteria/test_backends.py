"""Criteria backends: the example of how to write one, and what happens with those that fail."""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message, make_settings
from support.bus import fedmsg_body
from support.daemon import THIS_MESSAGE, running
from support.databases import Databases
from support.rule_text import assert_mistakes, complete, load
from support.rules import only_rule, rule

from fedbadges.criteria.backends import load_backends
from fedbadges.engine.tracing import trace
from fedbadges.errors import RuleError, Unavailable
from fedbadges.rules.criteria import Backends, Question
from fedbadges.rules.parsing import Problems
from fedbadges.rules.yaml_document import Node

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs/examples/backend"

GIVEN = 'trigger: {topic: git.receive}\nrecipient: "%(msg.user)s"\n'


def backends(directory: Path, **config: Any) -> Backends:
    databases = Databases("sqlite", "sqlite://", "sqlite://")
    return load_backends(make_settings(databases, directory, config=config))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed."""
    directory = tmp_path_factory.mktemp("example")
    # An installation leaves files beside the sources.
    source = shutil.copytree(EXAMPLE, directory / "source")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--no-index", "--target", directory / "target", source]
    subprocess.run(command, check=True)
    return directory / "target"


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fedbadges_attendance", raising=False)
    monkeypatch.syspath_prepend(package)


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    directory = tmp_path / "lists"
    directory.mkdir()
    (directory / "flock-2014.txt").write_text("Alice\ncarol\n")
    return directory


def example_in_docs() -> str:
    """Returns the criteria that the documentation shows for the example."""
    text = (ROOT / "docs/backends.rst").read_text()
    block = text.split("these criteria hold for the people in the file::\n\n")[1]
    return textwrap.dedent(block.split("\n\n")[0]) + "\n"


@pytest.mark.usefixtures("installed")
def test_the_example_explains_its_answer(tmp_path: Path, lists: Path) -> None:
    made = backends(tmp_path, **{"attendance.directory": str(lists)})
    text = rule("Flock", GIVEN + example_in_docs())
    watched = trace(only_rule(text.encode(), "flock.yml", made).criteria)

    assert watched.holds(Question(make_message(), "alice"))

    assert watched.details == {"people on the list": 2}


@pytest.mark.usefixtures("installed")
def test_the_example_awards_people_on_its_list(tmp_path: Path, lists: Path) -> None:
    rules = {"flock": rule("Flock", GIVEN + example_in_docs())}
    config = {"attendance.directory": str(lists)}
    with running(tmp_path, rules, config=config) as daemon:
        for name in ("alice", "bob"):
            daemon.handle(fedmsg_body("git.receive", {"user": name}))

        assert daemon.badges("alice") == {"flock"}
        assert daemon.badges("bob") == set()


@pytest.mark.usefixtures("installed")
def test_the_example_is_unavailable_without_its_list(tmp_path: Path, lists: Path) -> None:
    using = backends(tmp_path, **{"attendance.directory": str(lists)})
    criteria = load("criteria: {attended: {event: devconf}}\n", using).criteria

    with pytest.raises(Unavailable, match=r"attendance: .*devconf\.txt"):
        criteria.holds(Question(make_message(), recipient="alice"))

    (lists / "devconf.txt").write_text("alice\n")
    assert criteria.holds(Question(make_message(), recipient="alice"))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        (
            "{→evnet: flock-2014}",
            "unknown key 'evnet' in attended criteria; did you mean 'event'? There are 'event'",
        ),
        (
            "{event: →../passwd}",
            "'../passwd' is no event; it has letters, digits and -",
        ),
    ],
)
def test_the_example_reports_mistakes(
    tmp_path: Path, lists: Path, criteria: str, message: str
) -> None:
    using = backends(tmp_path, **{"attendance.directory": str(lists)})

    assert_mistakes(f"criteria:\n  attended: {criteria}\n", message, using=using)


@pytest.mark.usefixtures("installed")
def test_the_example_reports_that_it_is_not_configured(tmp_path: Path) -> None:
    assert_mistakes(
        "criteria:\n  attended: →{event: flock-2014}\n",
        "'attended' needs the setting 'attendance.directory'",
        using=backends(tmp_path),
    )


@pytest.mark.usefixtures("installed")
def test_checking_without_a_configuration_reports_only_mistakes_of_the_rule(tmp_path: Path) -> None:
    using = backends(tmp_path)
    good = complete(
        "criteria: {all: [{attended: {event: flock-2014}}, {fasjson: {group: packager}}]}\n"
    )
    bad = complete("criteria: {all: [{attended: {evnet: a}}, {fasjson: {group: 'a b'}}]}\n")

    assert only_rule(good.encode(), "rule.yml", using, configured=False).badge.id == "test-badge"
    with pytest.raises(RuleError) as raised:
        only_rule(bad.encode(), "rule.yml", using, configured=False)

    assert [problem.text for problem in raised.value.problems] == [
        "unknown key 'evnet' in attended criteria; did you mean 'event'? There are 'event'",
        "'a b' cannot be the name of a group",
    ]


def test_a_backend_that_gives_no_reason_for_a_refusal_is_named() -> None:
    class Silent:
        def parse(self, node: Node, problems: Problems) -> None:
            return None

    assert_mistakes(
        "criteria:\n  silent: →{}\n",
        "'silent' refuses this, and does not say why",
        using={"silent": Silent()},
    )


def test_a_backend_that_cannot_be_loaded_does_not_affect_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = tmp_path / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fedbadges.criteria]\nodd = nowhere:Backend\n")
    monkeypatch.syspath_prepend(tmp_path)
    rules = {
        "odd": rule("Odd", GIVEN + "criteria: {odd: {}}\n"),
        "good": rule("Good", GIVEN + THIS_MESSAGE),
    }

    with running(tmp_path, rules) as daemon:
        daemon.handle(fedmsg_body("git.receive", {"user": "alice"}))

        assert daemon.badges("alice") == {"good"}
    (line,) = [
        message
        for message in caplog.messages
        if message.startswith("Could not load a criteria backend")
    ]
    assert line.startswith("Could not load a criteria backend backend=odd error=")
    assert "No module named 'nowhere'" in line
    assert "unknown key 'odd'" in caplog.text


# Those that come with it, where they are not ready


def test_a_rule_about_groups_needs_the_url_of_fasjson(tmp_path: Path) -> None:
    assert_mistakes(
        "criteria:\n  fasjson: →{group: packager}\n",
        "'fasjson' needs the setting 'badges.fasjson.url'",
        using=backends(tmp_path),
    )


def test_a_rule_about_groups_needs_fasjson_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fasjson_client", None)

    assert_mistakes(
        "criteria:\n  fasjson: →{→grup: packager}\n",
        "'fasjson' cannot be asked: fasjson-client is not installed; "
        "pip install '.[fasjson]' in a clone of fedbadges",
        "unknown key 'grup' in fasjson criteria; did you mean 'group'? There are 'group'",
        using=backends(tmp_path, **{"badges.fasjson.url": "https://fasjson.example.org"}),
    )
