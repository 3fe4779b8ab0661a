"""On a bus that delivers what nobody acknowledged: nothing is taken from datanommer for others."""

from pathlib import Path

import pytest
from support.daemon_restarts import Start, held, sent, store_message
from support.databases import Databases
from support.waiting import eventually

pytestmark = pytest.mark.sqlite


def test_what_another_daemon_was_given_is_not_caught_up(
    database: Databases, start: Start, tmp_path: Path
) -> None:
    store_message(database, sent("before", 60))
    daemon = start(redelivered=True)
    store_message(database, sent("meanwhile"))
    own = sent("own")
    daemon.handle_acknowledged(own)
    # Its criteria ask datanommer, which is late.
    assert held(database, "own") == [False]
    store_message(database, own)

    # A sweep has read the one before it by then.
    eventually(lambda: held(database, "own") == [True], "the badge")

    assert held(database, "before", "meanwhile") == [False, False]
    assert not daemon.report()["catch_up"]["whole"]
    daemon.stop()
    assert not (tmp_path / "state/checkpoint").exists()
