"""What is explained of real rules and messages is what the engine does with them."""

import itertools
import json
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import candidates_of, make_settings
from support.databases import Databases
from tahrir_api.model import Assertion, Person

from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.databases.connections import engine as database_engine
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.explanation import Explainer, Verdict, without_count_cache
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.history.history import History
from fedbadges.messages import Message, parse_message
from fedbadges.rules.loader import load_directory
from fedbadges.tahrir.database import Tahrir

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"

pytestmark = [
    pytest.mark.sqlite,
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not there"),
]


class Listed:
    """Names whom the corpus lists for a message, or nobody where it does not know."""

    def __init__(self, entries: list[dict]) -> None:
        self._listed = {id(entry["message"]): entry["usernames"] for entry in entries}

    def users(self, message: Message) -> frozenset[str]:
        return frozenset(self._listed[id(message.body)] or ())


def holders(settings: Settings) -> set[tuple[str, str]]:
    held = sa.select(Person.nickname, Assertion.badge_id).join(Person.assertions)
    with database_engine(settings.tahrir_url).connect() as connection:
        return {(row.nickname, row.badge_id) for row in connection.execute(held)}


def test_every_message_gives_the_badges_that_its_explanation_says(database: Databases) -> None:
    settings = make_settings(database, CORPUS / "rules")
    entries = json.loads((CORPUS / "messages.json").read_text())
    usernames, tahrir, history = Listed(entries), Tahrir(settings), History(settings)
    loaded = load_directory(CORPUS / "rules", load_backends(settings))
    tahrir.publish_badges(rule.badge for rule in loaded.rules)
    engine = BadgeEngine(settings, tahrir, RecipientFinder(settings, usernames), loaded.rules)
    looking = without_count_cache(settings)
    explainer = Explainer(
        looking, load_directory(CORPUS / "rules", load_backends(looking)).rules, usernames
    )
    seen: Counter[Verdict] = Counter()
    before: set[tuple[str, str]] = set()

    # Again and again: the last time, most hold what they can get.
    for turn, entry in itertools.product(range(3), entries):
        message = parse_message(entry["message"])
        assert message is not None
        if engine.match(message) is not None:
            for number in range(8):
                # Sent now: what is stored long after it was sent is not counted at once.
                changes = {"msg_id": f"{turn}-{number}-{entry['name']}", "timestamp": time.time()}
                copy = parse_message({**message.body, **changes})
                assert copy is not None
                history.record(copy, usernames.users(message), [])

        explained = explainer.explain(message, full=False)
        case = candidates_of(engine, message)
        if case is not None:
            engine.decide(case)

        after = holders(settings)
        assert after - before == set(explained.awards), entry["name"]
        before = after
        seen.update(each.verdict for account in explained.rules for each in account.candidates)
    assert set(seen) == {Verdict.AWARD, Verdict.HELD, Verdict.CRITERIA}
    assert min(seen.values()) > 5
