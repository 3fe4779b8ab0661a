"""A replay finds what a daemon would have awarded that was there from the beginning."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.builders import make_settings, wipe
from support.databases import Databases, create_schemas
from support.made_up import histories, rule_texts
from support.past import Told, earned, live

from fedbadges.daemon import load_backends
from fedbadges.replay import Replay
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import load_text
from fedbadges.rules.problems import RuleError
from fedbadges.rules.rule import Rule
from fedbadges.settings import Settings
from fedbadges.tahrir import Tahrir


@pytest.fixture(scope="module")
def settings(shared_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    create_schemas(shared_database)
    # The messages are of long ago, and stored only now.
    return make_settings(shared_database, tmp_path_factory.mktemp("rules"), keep_counts=False)


@pytest.fixture
def databases(shared_database: Databases) -> Databases:
    wipe(shared_database)
    return shared_database


def load(texts: list[str], backends: Backends) -> list[Rule]:
    """Loads rules; one that has a mistake is left out."""
    rules = []
    for number, text in enumerate(texts):
        try:
            rules.append(load_text(text.format(number=number).encode(), f"{number}.yml", backends))
        except RuleError:
            continue
    return rules


@given(messages=histories(), texts=st.lists(rule_texts(), min_size=1, max_size=6))
@examples(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_it_finds_what_would_have_been_awarded(
    shared_database: Databases, settings: Settings, messages: list[Told], texts: list[str]
) -> None:
    wipe(shared_database)
    expected = live(settings, load(texts, load_backends(settings)), messages)

    replay = Replay(settings, Tahrir(settings))
    found = earned(settings, replay.run(load(texts, replay.backends)))

    assert found == expected
    assert replay.done == replay.total == len(messages)
