"""Rules in the dialect of fedbadges 2.x award the same by any way, on either bus."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import fedmsg.meta
import pytest
from fedmsg.meta.base import BaseProcessor
from named_messages import named
from support.builders import make_settings, wipe
from support.databases import Databases
from support.histories import awarded
from support.rule_text import PARSING
from support.rules_of_2 import EXPECTED, HISTORY, PREFIX, TEXTS, Sent

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.buses.fedora_messaging.messages import body_of, packages_of, users_of
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.history.history import History
from fedbadges.lint.fixes.conversion import Converter
from fedbadges.messages import Message, parse_message
from fedbadges.replay.replay import Replay
from fedbadges.rules.criteria import Backends
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir

START = datetime(2024, 1, 1, tzinfo=timezone.utc)


class Naming(BaseProcessor):
    """A plugin of ``fedmsg.meta`` for messages that say whom they concern."""

    __name__ = __obj__ = "naming"
    __description__ = "messages of tests"
    __link__ = __docs__ = "https://example.org"

    def handle_msg(self, msg: dict[str, Any], **config: Any) -> str | None:
        return "" if "concerns" in msg["msg"] else None

    def usernames(self, msg: dict[str, Any], **config: Any) -> set[str]:
        return set(msg["msg"]["concerns"])

    def agent(self, msg: dict[str, Any], **config: Any) -> str | None:
        return next(iter(msg["msg"]["concerns"]), None)

    def packages(self, msg: dict[str, Any], **config: Any) -> set[str]:
        return set(msg["msg"]["packages"])


def load(texts: Iterable[str], backends: Backends) -> list[Rule]:
    return [rule for text in texts for rule in load_text(text.encode(), "rule.yml", backends)]


def by_fedora_messaging(sent: Sent, number: int) -> Message:
    headers = {
        "test_packages": ",".join(sent.packages),
        "sent-at": (START + timedelta(minutes=number)).isoformat(),
        **{f"fedora_messaging_user_{name}": True for name in sent.users},
        **{f"fedora_messaging_rpm_{name}": True for name in sent.packages},
    }
    message = named(PREFIX + sent.topic, sent.body, *sent.users, **headers)
    found = parse_message(body_of(message), users_of(message), known_packages=packages_of(message))
    assert found is not None
    return found


def by_fedmsg(sent: Sent, number: int) -> Message:
    found = parse_message(
        {
            "topic": PREFIX + sent.topic,
            "msg": {**sent.body, "concerns": list(sent.users), "packages": list(sent.packages)},
            "msg_id": f"2024-{number}",
            "timestamp": (START + timedelta(minutes=number)).timestamp(),
            "username": "apache",
            "i": number,
        }
    )
    assert found is not None
    return found


@pytest.fixture
def usernames(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> FedmsgUsernames:
    """With a plugin of fedmsg.meta for the messages that come by fedmsg."""
    found = FedmsgUsernames(settings.fedmsg)
    plugin = Naming(str, topic_prefix_re=settings.fedmsg["topic_prefix_re"])
    monkeypatch.setattr(fedmsg.meta, "processors", [plugin, *fedmsg.meta.processors])
    return found


@pytest.fixture(scope="module")
def settings(shared_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_settings(shared_database, tmp_path_factory.mktemp("rules"), keep_counts=False)


@pytest.fixture(autouse=True)
def _empty(shared_database: Databases) -> Iterator[None]:
    yield
    wipe(shared_database)


def live(
    settings: Settings, usernames: FedmsgUsernames, rules: list[Rule], messages: list[Message]
) -> set[tuple[str, str]]:
    """Handle every message as it is stored, and return the awards."""
    history, tahrir = History(settings), Tahrir(settings)
    tahrir.publish_badges([rule.badge for rule in rules])
    engine = BadgeEngine(settings, tahrir, RecipientFinder(settings, usernames), RuleSet(rules))
    for message in messages:
        position = history.record(
            message, usernames.users(message), usernames.packages(message), usernames.agent(message)
        )
        triggered = engine.match(message)
        candidates = None if triggered is None else engine.find_candidates([triggered])[0]
        if candidates is not None:
            engine.decide(candidates.at(position))
    return {(badge, user) for badge, user, _ in awarded(settings)}


@pytest.fixture(scope="module")
def converted() -> dict[str, str]:
    """The rules that can be converted, after that."""
    converter = Converter(PARSING)
    found = {name: converter.convert(text.encode(), name) for name, text in TEXTS.items()}
    return {name: each.fixed.after.decode() for name, each in found.items() if not each.problems}


@pytest.mark.parametrize("bus", [by_fedora_messaging, by_fedmsg])
def test_converted_rules_award_the_same(
    settings: Settings,
    usernames: FedmsgUsernames,
    converted: dict[str, str],
    bus: Callable[[Sent, int], Message],
) -> None:
    messages = [bus(sent, number) for number, sent in enumerate(HISTORY)]
    rules = load(converted.values(), load_backends(settings))

    assert {rule.dialect for rule in rules} == {"fedbadges-1"}
    assert TEXTS.keys() - converted.keys() == {"copr", "impossible"}
    badges = {name.replace(" ", "-") for name in converted}
    expected = {(badge, user) for badge, user in EXPECTED if badge in badges}
    assert live(settings, usernames, rules, messages) == expected


@pytest.mark.parametrize("bus", [by_fedora_messaging, by_fedmsg])
def test_rules_award_the_same_on_either_bus_and_in_a_replay(
    settings: Settings, usernames: FedmsgUsernames, bus: Callable[[Sent, int], Message]
) -> None:
    messages = [bus(sent, number) for number, sent in enumerate(HISTORY)]
    rules = load(TEXTS.values(), load_backends(settings))

    assert live(settings, usernames, rules, messages) == EXPECTED

    replay = Replay(settings)
    found = replay.run(load(TEXTS.values(), replay.backends), measure=False)
    assert {(each.rule.badge.id, each.username) for each in found} == EXPECTED
