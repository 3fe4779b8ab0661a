"""A replay finds, rule by rule, what a daemon awards that was there from the beginning.

The rules are the examples, and real ones where the corpus is there; the messages are those of the
benchmark, which are of the kinds that these rules are about.
"""

import importlib
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from support.builders import make_settings
from support.databases import Databases
from support.histories import Awards, PastMessage, earned, live

from fedbadges.criteria.backends import load_backends
from fedbadges.replay.replay import Replay
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import each_once, load_file
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir

# What SQL counts is compared in test_replay.py, on both.
pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "corpus" / "rules"
FILES = [*sorted((ROOT / "rules").rglob("*.yml")), *sorted(CORPUS.rglob("*.y*ml"))]

PEOPLE = 4
OF_EACH_KIND = 25
START = datetime(2014, 1, 1)

Found = tuple[dict[str, set[str]], Awards, Awards, int]


def traffic() -> ModuleType:
    """Return the benchmarks' module of this name, which imports its neighbours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        return importlib.import_module("traffic")


def messages() -> Iterator[PastMessage]:
    """Yield messages of every kind by a few people, out of the order of their numbers."""
    made, chance = traffic(), random.Random(1)
    kinds = [kind for kind in made.KINDS for _ in range(OF_EACH_KIND)]
    chance.shuffle(kinds)
    for number, kind in enumerate(kinds, 1):
        person = made.Person(*(f"user{chance.randrange(PEOPLE)}" for _ in range(2)))
        draft = made.draft(kind, chance, person)
        yield PastMessage(
            number,
            START + timedelta(minutes=10 * number + chance.choice((0, 0, 0, 35))),
            draft.topic,
            draft.msg,
            tuple(draft.users),
            agent=draft.users[0] if draft.users else None,
        )


def load(backends: Backends) -> list[Rule]:
    rules, _ = each_once([rule for path in FILES for rule in load_file(path, backends)])
    return rules


@pytest.fixture(scope="module")
def found(shared_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Return the rules, what a daemon has awarded, what a replay finds, and how often it asks."""
    settings = make_settings(shared_database, tmp_path_factory.mktemp("rules"), keep_counts=False)
    rules = load(load_backends(settings))
    awarded = live(settings, rules, messages())
    replay = Replay(settings, Tahrir(settings))
    replayed = earned(settings, replay.run(load(replay.backends)))
    questions = replay._history.asked.questions
    badges: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        badges[rule.place.path].add(rule.badge.id)
    return badges, awarded, replayed, questions


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_replay_of_a_rule_awards_as_a_daemon_does(path: Path, found: Found) -> None:
    badges_of, awarded, replayed, _ = found
    if str(path) not in badges_of:
        pytest.skip("another rule has its badge")
    badges = badges_of[str(path)]

    assert {each for each in replayed if each[0] in badges} == {
        each for each in awarded if each[0] in badges
    }


def test_most_rules_award_something(found: Found) -> None:
    badges_of, awarded, _, _ = found

    assert len({badge for badge, _, _ in awarded}) > sum(map(len, badges_of.values())) / 2


def test_a_replay_asks_the_database_about_no_rule_that_can_be_counted(found: Found) -> None:
    *_, questions = found

    # Criteria by the id of the message that came ask once for each.
    by_id = [path for path in FILES if "msg_id:" in path.read_text()]
    assert questions <= OF_EACH_KIND * len(by_id)
