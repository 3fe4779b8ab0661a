"""Real rules against real messages: ``pairs.yaml`` says who the candidates are.

The corpus is no part of the project. It is looked for beside the repository.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from support.builders import candidates_of

from fedbadges.config.settings import Settings, read_settings
from fedbadges.criteria.backends import load_backends
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.messages import Message, parse_message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import load_directory
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.schema import create_tahrir

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
RULES = CORPUS / "rules"

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not there")


class Pair(NamedTuple):
    """A rule, a message, and what reading the two says of them."""

    rule: str
    message: str
    matches: bool
    candidates: tuple[str, ...]
    why: str

    @property
    def key(self) -> tuple[str, str]:
        return self.rule, self.message


def read_pairs() -> list[Pair]:
    table = yaml.safe_load(Path(__file__).with_name("pairs.yaml").read_text())
    return [
        Pair(rule, group["message"], found != "no match", names_in(found), why)
        for group in table
        for rule, found, why in group["pairs"]
    ]


def names_in(found: str | list[str]) -> tuple[str, ...]:
    return () if found == "no match" else tuple(found)


PAIRS = read_pairs()


class ListedUsernames:
    """Names whom the corpus lists for a message, as Fedora's plugin for fedmsg.meta did."""

    def __init__(self, entries: list[dict]) -> None:
        self._listed = {id(entry["message"]): entry["usernames"] for entry in entries}

    def users(self, message: Message) -> frozenset[str]:
        """Fails where nobody knows whom a message concerns: no pair may depend on that."""
        listed = self._listed[id(message.body)]
        assert listed is not None, f"whom {message.topic} concerns is unknown"
        return frozenset(listed)


@pytest.fixture(scope="module")
def entries() -> list[dict]:
    return json.loads((CORPUS / "messages.json").read_text())


@pytest.fixture(scope="module")
def messages(entries: list[dict]) -> dict[str, Message]:
    return {entry["name"]: parse_message(entry["message"]) for entry in entries}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A deployment that runs the real rules, and has awarded nothing yet."""
    directory = tmp_path_factory.mktemp("databases")
    settings, _ = read_settings(
        {
            "badges.yaml.directory": str(RULES),
            "badges_global": {
                "database_uri": f"sqlite:///{directory / 'tahrir.db'}",
                "badge_issuer": {
                    "issuer_origin": "https://badges.example.org",
                    "issuer_name": "Example Badges",
                    "issuer_org": "https://example.org",
                    "issuer_contact": "badges@example.org",
                },
            },
            "datanommer.sqlalchemy.url": f"sqlite:///{directory / 'datanommer.db'}",
        }
    )
    create_tahrir(settings.tahrir_url)
    return settings


@pytest.fixture(scope="module")
def rules(settings: Settings) -> dict[str, Rule]:
    """Every rule of the corpus, by its file."""
    loaded = load_directory(settings.rules_directory, load_backends(settings))
    assert loaded.problems == ()
    return {Path(rule.place.path).name: rule for rule in loaded.rules}


@pytest.fixture(scope="module")
def candidates(
    settings: Settings,
    rules: Mapping[str, Rule],
    entries: list[dict],
    messages: Mapping[str, Message],
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Whom the engine names, of all rules and all messages; without the pairs that name nobody."""
    engine = BadgeEngine(
        settings,
        Tahrir(settings),
        RecipientFinder(settings, ListedUsernames(entries)),
        RuleSet(rules.values()),
    )
    files = {rule.badge.id: file for file, rule in rules.items()}
    cases = {name: candidates_of(engine, message) for name, message in messages.items()}
    return {
        (files[rule.badge.id], name): names
        for name, case in cases.items()
        if case is not None
        for rule, names in case.people
    }


def test_every_real_rule_loads(rules: Mapping[str, Rule]) -> None:
    assert sorted(rules) == sorted(path.name for path in RULES.iterdir())


def test_the_table_has_200_pairs_without_repetition_and_every_rule(
    rules: Mapping[str, Rule],
) -> None:
    keys = {pair.key for pair in PAIRS}
    assert len(PAIRS) == len(keys) >= 200
    assert {rule for rule, _ in keys} == set(rules)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.rule}-{pair.message}")
def test_trigger_and_candidates_are_those_of_the_table(
    pair: Pair,
    rules: Mapping[str, Rule],
    messages: Mapping[str, Message],
    candidates: Mapping[tuple[str, str], tuple[str, ...]],
) -> None:
    assert rules[pair.rule].trigger.holds(messages[pair.message]) == pair.matches, pair.why
    assert candidates.get(pair.key, ()) == pair.candidates, pair.why


def test_no_trigger_matches_outside_the_table(
    rules: Mapping[str, Rule],
    messages: Mapping[str, Message],
    candidates: Mapping[tuple[str, str], tuple[str, ...]],
) -> None:
    triggered = {
        (file, name)
        for file, rule in rules.items()
        for name, message in messages.items()
        if rule.trigger.holds(message)
    }
    assert triggered == {pair.key for pair in PAIRS if pair.matches}
    assert set(candidates) == {pair.key for pair in PAIRS if pair.candidates}
