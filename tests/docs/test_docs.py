"""What the documentation shows is true."""

import json
import logging
import re
import runpy
import textwrap
from pathlib import Path

import pytest
from docutils.core import publish_doctree
from docutils.utils import Reporter
from support.builders import candidates_of, make_settings
from support.command import fedbadges
from support.databases import sqlite_databases
from support.documented import EXAMPLES, PAGES, ROOT, Example, blocks, completed

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import ENABLED, ISSUER_KEYS, KEYS, Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.history.history import History
from fedbadges.history.schema import HISTORY_INDEXES
from fedbadges.messages import parse_message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import load_text
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.schema import TAHRIR_INDEXES


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    databases = sqlite_databases(tmp_path)
    return make_settings(databases, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_valid_restructuredtext(page: Path) -> None:
    publish_doctree(
        page.read_text(),
        settings_overrides={"halt_level": Reporter.WARNING_LEVEL, "report_level": 5},
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_exist(page: Path) -> None:
    links = re.findall(r"<([^>:]+)>`_", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.page.name}:{e.line}")
def test_example_rule_loads_and_has_the_candidates_shown(
    example: Example, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    rules = load_text(completed(example.text), example.page.name, load_backends(settings))
    if example.message is None:
        return
    message = parse_message({"msg_id": f"docs-{example.line}"} | example.message)
    assert message is not None
    History(settings).record(message, [], [])
    usernames = FedmsgUsernames(settings.fedmsg | {"topic_prefix_re": "org.fedoraproject.[a-z]+"})
    tahrir = Tahrir(settings)
    tahrir.publish_badges(rule.badge for rule in rules)
    engine = BadgeEngine(settings, tahrir, RecipientFinder(settings, usernames), RuleSet(rules))

    assert all(rule.trigger.holds(message) for rule in rules)
    case = candidates_of(engine, message)
    if case is not None:
        engine.decide(case)
    if example.candidates is not None:
        assert case is not None
        assert case.people == tuple((rule, example.candidates) for rule in rules)
    # A lambda that stumbles over its message would have been a warning.
    assert [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("fedbadges")
    ] == []


def test_readme_shows_the_example_rule_as_it_is() -> None:
    (shown,) = [text for _, language, text in blocks(ROOT / "README.rst") if language == "yaml"]
    text = (ROOT / "rules/git/gardener.yml").read_text()
    assert shown == re.sub(r"\A(#.*\n|\n)+", "", text)


def test_commands_of_the_readme_print_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "README.rst").read_text()
    shown = re.findall(
        r"^    \$ \.venv/bin/fedbadges (.*)\n((?:    [^$\s].*\n)*)", text, re.MULTILINE
    )
    assert [command.split()[0] for command, _ in shown] == ["check", "test"]
    for command, output in shown:
        assert fedbadges(*command.split()).output == textwrap.dedent(output)


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs/configuration.rst").read_text()
    names = [ENABLED, "badges_global", "badge_issuer", *(key.name for key in KEYS.values())]
    names += [name for key in ISSUER_KEYS.values() for name in (key.name, key.older_name) if name]
    assert [name for name in names if f"``{name}``" not in text] == []
    for key in KEYS.values():
        if not isinstance(key.default, (bool, int, float)):
            continue
        entry = text.split(f"\n``{key.name}``\n")[1].split("\n``")[0]
        shown = f"{key.default:g}" if isinstance(key.default, float) else str(key.default)
        assert f"Default: ``{shown}``" in " ".join(entry.split()), key.name


def test_recommended_indexes_are_those_that_are_created() -> None:
    shown = {
        " ".join(statement.split())
        for _, language, text in blocks(ROOT / "docs/performance.rst")
        if language == "sql"
        for statement in re.sub("--.*", "", text).split(";")
        if statement.strip()
    }
    assert shown == {*TAHRIR_INDEXES, *HISTORY_INDEXES}


def test_figures_are_those_of_the_last_benchmark() -> None:
    report = runpy.run_path(str(ROOT / "benchmarks/report.py"))
    results = json.loads((ROOT / "benchmarks/results.json").read_text())
    text = (ROOT / "docs/performance.rst").read_text()

    assert report["_BEGIN"] + report["figures"](results) + report["_END"] in text
