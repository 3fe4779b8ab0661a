"""A daemon awards what backfill awards, however and whenever the messages come to it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from support.arrivals import DISTANCE, Arrival, arrivals, rules
from support.arriving import ArrivingDaemon, awards_of
from support.builders import wipe
from support.databases import Databases
from support.sizes import size

pytestmark = pytest.mark.thorough

not_judged_again = pytest.mark.xfail(
    strict=True, reason="what was judged before an earlier message was stored is not judged again"
)
lost_to_cached_counts = pytest.mark.xfail(
    strict=True, reason="cached counts leave out messages that are older than their cutoff"
)

few = examples(
    max_examples=size(6, 80),
    phases=[Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def check(
    databases: Databases,
    directory: Path,
    texts: dict[str, str],
    coming: Sequence[Arrival],
    distance: int = DISTANCE,
) -> None:
    """Raise AssertionError unless a daemon awards what backfill does where nobody holds anything.

    :param distance: so many seconds the daemon expects datanommer to be late at most.
    """
    wipe(databases)
    daemon = ArrivingDaemon(directory, databases, texts, distance)
    awarded = awards_of(daemon, coming)
    expected = daemon.backfilled()
    assert awarded == expected, (awarded - expected, expected - awarded)


@given(texts=rules(), coming=arrivals())
@few
def test_rules_of_every_kind_award_what_backfill_awards(
    shared_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
    texts: dict[str, str],
    coming: list[Arrival],
) -> None:
    check(shared_database, tmp_path_factory.mktemp("daemon"), texts, coming)


@not_judged_again
@given(texts=rules(late=True), coming=arrivals(late=True))
@few
def test_messages_stored_late_change_no_award(
    shared_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
    texts: dict[str, str],
    coming: list[Arrival],
) -> None:
    check(shared_database, tmp_path_factory.mktemp("daemon"), texts, coming)


@lost_to_cached_counts
@given(texts=rules(), coming=arrivals())
@few
def test_messages_older_than_cached_counts_change_no_award(
    shared_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
    texts: dict[str, str],
    coming: list[Arrival],
) -> None:
    check(shared_database, tmp_path_factory.mktemp("daemon"), texts, coming, distance=1)
