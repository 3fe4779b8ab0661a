"""Assembles the parts of the daemon over a history of some size."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings, read_settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import shared_history
from fedbadges.engine.engine import BadgeEngine, Triggered
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.messages import Message, parse_message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import load_directory
from fedbadges.rules.recipients import Accounts, Everybody
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import AwardResult
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.remembered import RememberedHoldings
from fedbadges.util.garbage import spare_what_is_loaded

ROOT = Path(__file__).resolve().parent.parent

#: The rules to measure, by the suffix of the keys of their results: those of the project and, where
#: they are, the real ones of Fedora.
RULES = {"": ROOT / "rules", "_corpus": ROOT.parent / "shared" / "corpus" / "rules"}

#: What is sent here within so many seconds is more than the bus brings within the default's ten
#: minutes, so at least as much is counted anew.
_DISTANCE = 10

#: Where awards are timed: everybody gets this badge with the first message of this topic.
AWARD_TOPIC = "org.fedoraproject.prod.benchmark.award"
AWARD_BADGE = "benchmark-award"

_AWARD_RULE = """\
name:        Benchmark Award
description: You were in a benchmark.
creator:     alice
discussion:  https://badges.example.org/ideas/1
image_url:   https://badges.example.org/pngs/benchmark.png
trigger:
  topic: benchmark.award
criteria:
  filter:
    topics: ["%(topic)s"]
    users: ["%(msg.user)s"]
  operation: count
  condition:
    greater than or equal to: 1
recipient: "%(msg.user)s"
"""


class Nobody(Everybody):
    """An accounts service without accounts: everything is evaluated, and nothing is awarded."""

    def exists(self, username: str) -> bool:
        return False


NOBODY = Nobody()


class Deployment:
    """The daemon without a hub."""

    def __init__(self, settings: Settings, accounts: Accounts = NOBODY) -> None:
        self.settings = settings
        self.tahrir = Tahrir(settings, announce=True)
        self.store = RememberedHoldings(self.tahrir, settings.remember_holdings)
        self.backends = load_backends(settings)
        self.history = shared_history(self.backends, settings)
        loaded = load_directory(settings.rules_directory, self.backends)
        if loaded.problems:
            raise SystemExit("\n".join(map(str, loaded.problems)))
        self.rules = loaded.rules
        self.usernames = FedmsgUsernames(settings.fedmsg)
        if not self.usernames.has_plugins:
            raise SystemExit("fedmsg.meta has no plugins: run this by 'make bench'")
        self.awards: list[AwardResult] = []
        self.engine = self.make_engine(self.rules, accounts)
        # As a daemon does when it has started.
        spare_what_is_loaded()

    def make_engine(self, rules: RuleSet, accounts: Accounts) -> BadgeEngine:
        return BadgeEngine(
            self.settings,
            self.store,
            RecipientFinder(self.settings, self.usernames, accounts),
            rules,
            self.awards.append,
        )

    def handle(self, body: dict[str, Any]) -> bool:
        """Handle a message as the daemon does; return True if criteria were evaluated."""
        case = candidates_of(self.engine, parsed(body))
        if case is None:
            return False
        if case.needs_history:
            found = self.history.positions([case.message])
            position = found.get(case.message, case.message.position)
            case = dataclasses.replace(case, position=position)
        self.engine.decide(case)
        return True


def candidates_of(engine: BadgeEngine, message: Message) -> Triggered | None:
    triggered = engine.match(message)
    return None if triggered is None else engine.find_candidates([triggered])[0]


def parsed(body: dict[str, Any]) -> Message:
    message = parse_message(body)
    assert message is not None
    return message


def make_settings(
    rules: Path, tahrir_url: str, history_url: str, **others: Any
) -> tuple[Settings, dict[str, Any]]:
    """Return the settings of a deployment and their configuration."""
    config = {
        "badges.yaml.directory": str(rules),
        "badges_global": {
            "database_uri": tahrir_url,
            "badge_issuer": {
                "issuer_origin": "https://badges.example.org",
                "issuer_name": "Example Badges",
                "issuer_org": "https://example.org",
                "issuer_contact": "badges@example.org",
            },
        },
        "datanommer.sqlalchemy.url": history_url,
        "badges.keep_counts_distance": _DISTANCE,
        "environment": "prod",
        "topic_prefix": "org.fedoraproject",
        "topic_prefix_re": r"org\.fedoraproject\.(dev|stg|prod)",
        **others,
    }
    return read_settings(config)[0], config


def copy_rules(source: Path, directory: Path) -> Path:
    """Copy the rules to measure, and add the one for which awards are timed."""
    shutil.copytree(source, directory / "real")
    (directory / "benchmark.yml").write_text(_AWARD_RULE, encoding="utf-8")
    return directory


def multiply(rules: Sequence[Rule], count: int) -> RuleSet:
    """Return a number of rules, which are copies for badges with other names."""
    return RuleSet(
        dataclasses.replace(
            rules[number % len(rules)],
            badge=dataclasses.replace(
                rules[number % len(rules)].badge,
                id=f"{rules[number % len(rules)].badge.id}-{number // len(rules)}",
            ),
        )
        for number in range(count)
    )
