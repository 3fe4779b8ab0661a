"""A daemon awards what backfill awards, however and whenever the messages come to it."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as examples
from support.arrivals import START, After, Arrival, Way, arrivals, rules
from support.arriving import ArrivingDaemon, awards_of
from support.builders import wipe
from support.databases import Databases
from support.histories import PastMessage
from support.rules import rule
from support.sizes import size

pytestmark = pytest.mark.thorough


SECOND = rule(
    "Second",
    """
trigger: {topic: wiki.edit}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(msg.user)s"]}
  operation: count
  condition: {equal to: 2}
recipient: "%(msg.user)s"
""",
)


def edit(number: int, hour: int) -> PastMessage:
    sent = START + timedelta(hours=hour)
    return PastMessage(number, sent, "wiki.edit", {"user": "alice"}, ("alice",), agent="alice")


few = examples(
    max_examples=size(3, 20),
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def check(
    databases: Databases,
    directory: Path,
    texts: dict[str, str],
    coming: Sequence[Arrival],
    **keys: object,
) -> None:
    """Raise AssertionError unless a daemon awards what backfill does where nobody holds anything.

    :param keys: settings of the daemon.
    """
    wipe(databases)
    daemon = ArrivingDaemon(directory, databases, texts, **keys)
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


@given(texts=rules(), coming=arrivals(ways=[Way.RECORDED]))
@few
def test_daemon_that_stores_messages_itself_awards_what_backfill_awards(
    shared_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
    texts: dict[str, str],
    coming: list[Arrival],
) -> None:
    directory = tmp_path_factory.mktemp("daemon")
    check(shared_database, directory, texts, coming, record_messages=True)


@given(texts=rules(late=True), coming=arrivals(late=True))
@example(
    # The later one, which is the second, is judged when only it is stored.
    texts={"second": SECOND},
    coming=[
        Arrival((edit(1, hour=2),), Way.SHED, False, After.SWEEP),
        Arrival((edit(2, hour=1),), Way.SHED, False, After.SWEEP),
    ],
)
@example(
    # The same, if the earlier one was numbered before, and is committed after.
    texts={"second": SECOND},
    coming=[
        Arrival((edit(2, hour=2),), Way.SHED, False, After.SWEEP),
        Arrival((edit(1, hour=1),), Way.SHED, False, After.SWEEP),
    ],
)
@few
def test_messages_stored_late_change_no_award(
    shared_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
    texts: dict[str, str],
    coming: list[Arrival],
) -> None:
    check(shared_database, tmp_path_factory.mktemp("daemon"), texts, coming)


@given(texts=rules(), coming=arrivals())
@few
def test_messages_older_than_cached_counts_change_no_award(
    shared_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
    texts: dict[str, str],
    coming: list[Arrival],
) -> None:
    directory = tmp_path_factory.mktemp("daemon")
    check(shared_database, directory, texts, coming, keep_counts_distance=1)
