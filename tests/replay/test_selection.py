"""A replay of some messages and people finds what a daemon awards that handles only these."""

import math
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.builders import make_settings, wipe
from support.databases import Databases
from support.histories import PastMessage, Storage, earned, live
from support.rules import load_rules, only_rule, rule
from support.sizes import size
from support.strategies import START, histories, rule_texts

from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.replay import history_stream
from fedbadges.replay.replay import Replay
from fedbadges.replay.selection import EVERYTHING, Selection, estimate
from fedbadges.tahrir.database import Tahrir

MOMENTS = st.none() | st.integers(0, 61).map(lambda hours: START + timedelta(hours=hours))
PEOPLE = st.one_of(
    st.builds(dict),
    st.fixed_dictionaries({"users": st.frozensets(st.sampled_from(["alice", "bob", "nobody"]))}),
    st.fixed_dictionaries({"sample": st.floats(0.05, 0.95)}),
)
SELECTIONS = st.builds(
    lambda since, until, people: Selection(since, until, **people), MOMENTS, MOMENTS, PEOPLE
)

THREE = """
trigger: {topic: wiki.edit}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}
  operation: count
  condition: {greater than or equal to: 3}
recipient: "%(msg.user)s"
"""


@pytest.fixture(scope="module")
def settings(shared_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    # The messages are of long ago, and stored only now.
    return make_settings(shared_database, tmp_path_factory.mktemp("rules"), keep_counts=False)


@pytest.mark.thorough
@given(
    messages=histories(),
    texts=st.lists(rule_texts(), min_size=1, max_size=4),
    selection=SELECTIONS,
    page=st.integers(1, 5),
)
@examples(
    max_examples=size(15, 100),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_a_replay_of_a_selection_finds_what_a_daemon_awards_for_it(
    shared_database: Databases,
    settings: Settings,
    messages: list[PastMessage],
    texts: list[str],
    selection: Selection,
    page: int,
) -> None:
    wipe(shared_database)
    expected = live(
        settings,
        load_rules(texts, load_backends(settings)),
        messages,
        handled=lambda past: selection.takes(past.sent),
    )

    replay = Replay(settings, Tahrir(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_stream, "_BATCH", page)
        rules = load_rules(texts, replay.backends)
        found = earned(settings, replay.run(rules, selection=selection))

    assert found == {award for award in expected if selection.has(award[1])}


@pytest.mark.sqlite
@pytest.mark.parametrize("page", [1, 3])
def test_the_first_selected_message_with_enough_before_it_earns_the_badge(
    shared_database: Databases, settings: Settings, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_stream, "_BATCH", page)
    wipe(shared_database)
    days = [START + timedelta(days=day) for day in range(9)]
    Storage(settings).store(
        PastMessage(number, sent, "wiki.edit", {"user": "alice"}, ("alice",))
        for number, sent in enumerate(days, 1)
    )
    replay = Replay(settings, Tahrir(settings))
    rules = [only_rule(rule("Scribe", THREE).encode(), "scribe.yml", replay.backends)]

    for since in (None, *days[::2]):
        for until in (None, *days[1::2]):
            selection = Selection(since, until)
            found = [each.message.sent for each in replay.run(rules, selection=selection)]
            assert found == [sent for sent in days[2:] if selection.takes(sent)][:1], selection
            seen = [sent for sent in days if selection.takes(sent)]
            assert replay.funnel(rules[0]).seen == len(seen)
            # A page that begins behind the end is not gone through.
            ends = len(days) if until is None else days.index(until)
            assert replay.done == min(-(-ends // page) * page, len(days))


def test_everybody_is_in_one_of_two_samples_or_in_the_rest() -> None:
    names = [f"user{number}" for number in range(10_000)]
    small, large = Selection(sample=0.1), Selection(sample=0.5)

    chosen = [name for name in names if small.has(name)]

    assert 900 < len(chosen) < 1100
    assert all(map(large.has, chosen))  # a larger sample has the people of a smaller one
    assert 4800 < sum(map(large.has, names)) < 5200
    assert chosen == [name for name in names if Selection(sample=0.1).has(name)]
    assert all(map(EVERYTHING.has, names))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("people", [0, 1, 5, 40, 400, 4000])
def test_estimate_is_right_for_nineteen_of_twenty_samples(people: int, share: float) -> None:
    right = 0.0
    for found in range(people + 1):
        likely, least, most = estimate(found, share)
        assert found <= least <= likely <= most
        if least <= people <= most:
            logarithm = (
                math.lgamma(people + 1) - math.lgamma(found + 1) - math.lgamma(people - found + 1)
            )
            logarithm += found * math.log(share) + (people - found) * math.log(1 - share)
            right += math.exp(logarithm)

    assert right > 0.93
