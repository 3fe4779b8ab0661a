"""The outbox between the awards and the bus, with a bus that does what the test says."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import make_settings
from support.databases import Databases, sqlite_databases
from support.disk import small_disk
from support.publisher import FakePublisher
from support.tahrir import EDITOR, TAGGER, due
from support.waiting import TIMEOUT, eventually

from fedbadges.databases.connections import engine
from fedbadges.messages import Notice
from fedbadges.outbox import outbox as module
from fedbadges.outbox.outbox import Outbox
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.own_tables import OUTBOX, OWN


class SlowPublisher(FakePublisher):
    """One that is not done with what it holds before it is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = threading.Event()

    def send_first(self) -> None:
        notice, result = self.held.pop(0)
        result(notice, None)

    def finish(self, timeout: float = 15.0) -> bool:
        return self.idle.wait(timeout)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fedbadges")
    for name, seconds in (("_INTERVAL", 0.02), ("_FLUSHED", 0.05), ("_RETRY", 0.2)):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
def tahrir(database: Databases, tmp_path: Path) -> Tahrir:
    made = Tahrir(make_settings(database, tmp_path), announce=True)
    made.publish_badges([EDITOR, TAGGER])
    return made


Make = Callable[..., Outbox]


@pytest.fixture
def make(tahrir: Tahrir) -> Iterator[Make]:
    """Start outboxes, each as one process would have it."""
    made: list[Outbox] = []

    def make_(bus: FakePublisher, table: Tahrir = tahrir) -> Outbox:
        outbox = Outbox(bus, table.outbox)
        outbox.start()
        made.append(outbox)
        return outbox

    yield make_
    for outbox in made:
        outbox.stop()


def award(tahrir: Tahrir, *names: str) -> list[Notice]:
    return [given.notice for given in tahrir.award([due(name) for name in names]).given]


def another(tahrir: Tahrir) -> Tahrir:
    return Tahrir(tahrir._settings, announce=True)


def free(tahrir: Tahrir) -> None:
    """End all leases, as time does after a kill."""
    with engine(tahrir._settings.tahrir_url).begin() as connection:
        connection.execute(OUTBOX.update().values(leased_until=None))


def long_ago(tahrir: Tahrir) -> None:
    """Let all notices be old, and free."""
    with engine(tahrir._settings.tahrir_url).begin() as connection:
        connection.execute(OUTBOX.update().values(created=due("x").issued_on, leased_until=None))


def kept(tahrir: Tahrir) -> int:
    with engine(tahrir._settings.tahrir_url).connect() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(OUTBOX)) or 0)


def test_published_notice_is_deleted(tahrir: Tahrir, make: Make) -> None:
    bus = FakePublisher()
    outbox = make(bus)

    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)

    eventually(lambda: not kept(tahrir), "an empty outbox")
    assert bus.sent == [notice]


def test_sent_notice_is_kept_until_it_has_left_the_process(
    tahrir: Tahrir, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FLUSHED", 3600)
    outbox = make(FakePublisher())

    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)
    outbox._look()

    assert kept(tahrir) == 1


def test_what_another_process_left_is_published_in_its_order(tahrir: Tahrir, make: Make) -> None:
    left = award(tahrir, "alice", "bob", "carol")
    free(tahrir)
    bus = FakePublisher()

    make(bus, another(tahrir))

    eventually(lambda: not kept(tahrir), "an empty outbox")
    assert bus.sent == left


def test_what_another_process_is_about_to_publish_is_left_to_it(tahrir: Tahrir, make: Make) -> None:
    award(tahrir, "alice")
    bus, other = FakePublisher(), another(tahrir)
    outbox = make(bus, other)
    (own,) = award(other, "bob")
    outbox.publish(own)

    eventually(lambda: kept(tahrir) == 1, "its own notice deleted")

    assert bus.sent == [own]


def test_leases_of_notices_that_wait_are_renewed(
    tahrir: Tahrir, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RENEW", 0.0)
    bus = FakePublisher()
    bus.holding = True
    outbox = make(bus)
    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)
    with engine(tahrir._settings.tahrir_url).begin() as connection:
        connection.execute(OUTBOX.update().values(leased_until=sa.func.now()))

    eventually(lambda: not tahrir.outbox.waiting().free, "a renewed lease")

    assert [held for held, _ in bus.held] == [notice]


def test_notice_that_was_sent_is_not_sent_again_when_its_lease_expires(
    tahrir: Tahrir, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FLUSHED", 3600)
    bus = FakePublisher()
    outbox = make(bus)
    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)
    free(tahrir)

    outbox._look()
    outbox._look()

    assert bus.sent == [notice]


def test_failure_is_logged_once_and_the_notice_is_published_when_it_is_over(
    tahrir: Tahrir, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakePublisher()
    bus.failure = "no key"
    outbox = make(bus)
    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)
    eventually(lambda: len(bus.tried) >= 3, "more tries")
    assert outbox.report()["trouble"] == "no key"

    bus.failure = None

    eventually(lambda: not kept(tahrir), "an empty outbox")
    assert bus.sent == [notice]
    assert outbox.report()["trouble"] is None
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        'Cannot publish notices, keeping them in the outbox error="no key"'
    ]
    assert "Notices are published again" in caplog.messages


def test_notice_is_left_to_others_at_once_where_nothing_can_be_published(
    tahrir: Tahrir, make: Make
) -> None:
    deaf, bus = FakePublisher(), FakePublisher()
    deaf.cannot = "no endpoint"
    outbox = make(deaf)
    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)

    make(bus, another(tahrir))

    eventually(lambda: not kept(tahrir), "an empty outbox")
    assert bus.sent == [notice]
    assert deaf.tried == [notice]


def test_stop_leaves_what_waits_to_others(tahrir: Tahrir, make: Make) -> None:
    bus = FakePublisher()
    bus.holding = True
    outbox = make(bus)
    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)

    outbox.stop()

    assert another(tahrir).outbox.lease() == [notice]


def test_stop_deletes_what_was_sent(
    tahrir: Tahrir, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FLUSHED", 3600)
    outbox = make(FakePublisher())
    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)

    outbox.stop()

    assert kept(tahrir) == 0


def test_finish_publishes_what_others_left(tahrir: Tahrir, make: Make) -> None:
    (left,) = award(tahrir, "alice")
    free(tahrir)
    bus, other = FakePublisher(), another(tahrir)
    bus.ready.clear()  # so that nothing was looked at before
    outbox = Outbox(bus, other.outbox)
    (own,) = award(other, "bob")
    outbox.publish(own)

    assert outbox.finish(TIMEOUT)

    assert bus.sent == [own, left]
    assert kept(tahrir) == 0


def test_finish_publishes_a_thousand_notices_of_others_at_most(
    tahrir: Tahrir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_QUEUED", 2)
    left = [Notice("badge.award", {}, str(number), number) for number in range(4)]
    bus, waiting = FakePublisher(), left.copy()
    outbox = Outbox(bus, tahrir.outbox)
    monkeypatch.setattr(tahrir.outbox, "lease", lambda: [waiting.pop(0)])

    outbox.finish(TIMEOUT)

    assert bus.sent == left[:2]


def test_finish_is_not_held_up_by_what_others_left_if_there_is_much_to_do(
    tahrir: Tahrir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_QUEUED", 1)
    award(tahrir, "alice")
    free(tahrir)
    bus, other = SlowPublisher(), another(tahrir)
    bus.holding = True
    outbox = Outbox(bus, other.outbox)
    (own,) = award(other, "bob")
    outbox.publish(own)
    bus.idle.set()

    assert not outbox.finish(TIMEOUT)

    assert [notice for notice, _ in bus.held] == [own]
    assert outbox.left == 1


def test_finish_says_that_notices_are_left(tahrir: Tahrir, make: Make) -> None:
    bus = FakePublisher()
    bus.failure = "no key"
    outbox = make(bus)
    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)

    assert not outbox.finish(TIMEOUT)

    assert outbox.left == 1
    assert another(tahrir).outbox.lease() == [notice]


def test_others_leave_what_is_not_published_yet_while_a_process_finishes(
    tahrir: Tahrir, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command may have thousands of notices to sign."""
    monkeypatch.setattr(module, "_RENEW", 0.0)
    bus = SlowPublisher()
    bus.holding = True
    outbox = make(bus)
    sent, waiting = award(tahrir, "alice", "bob")
    outbox.publish(sent)
    outbox.publish(waiting)
    bus.send_first()
    free(tahrir)
    finishing = threading.Thread(target=outbox.finish, args=(TIMEOUT,))
    finishing.start()

    eventually(lambda: kept(tahrir) == 1, "what was sent is deleted")
    eventually(lambda: not tahrir.outbox.waiting().free, "a renewed lease")

    bus.send_first()
    bus.idle.set()
    finishing.join(TIMEOUT)
    assert kept(tahrir) == 0


def test_outage_of_the_database_is_logged_once_and_loses_nothing(
    tahrir: Tahrir, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bus = FakePublisher()
    outbox = make(bus)
    (notice,) = award(tahrir, "alice")
    made = engine(tahrir._settings.tahrir_url)
    eventually(lambda: outbox.report()["kept"], "a first look")
    with made.begin() as connection:
        connection.execute(sa.text("ALTER TABLE fedbadges_outbox RENAME TO away"))
    outbox.publish(notice)
    eventually(lambda: outbox.report()["trouble"], "trouble")
    outbox._look()
    with made.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO fedbadges_outbox"))

    eventually(lambda: not kept(tahrir), "an empty outbox")
    eventually(lambda: outbox.report()["trouble"] is None, "no trouble")
    assert bus.sent == [notice]
    assert sum("Cannot use the outbox" in message for message in caplog.messages) == 1
    assert "The outbox is used again" in caplog.messages


def test_notices_are_published_without_the_table(
    tahrir: Tahrir, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    OWN.drop_all(engine(tahrir._settings.tahrir_url))
    bus = FakePublisher()
    outbox = make(bus)

    (notice,) = award(tahrir, "alice")
    outbox.publish(notice)
    eventually(lambda: not outbox._thread.is_alive(), "the end of the thread")

    assert bus.sent == [notice]
    assert outbox.report()["kept"] is False
    assert caplog.messages == []


@pytest.mark.sqlite
def test_action_is_run_when_notices_are_heard(tahrir: Tahrir, make: Make) -> None:
    bus = FakePublisher()
    bus.ready.clear()
    outbox = make(bus)
    done = threading.Event()
    outbox.when_ready(done.set)
    assert not done.wait(0.1)

    bus.ready.set()

    assert done.wait(TIMEOUT)


@pytest.mark.sqlite
def test_action_is_not_run_after_a_stop(tahrir: Tahrir, make: Make) -> None:
    bus = FakePublisher()
    bus.ready.clear()
    outbox = make(bus)
    done = threading.Event()
    outbox.when_ready(done.set)

    outbox.stop()

    assert not done.is_set()


def test_notices_that_nobody_publishes_are_given_up_after_days(
    tahrir: Tahrir, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    award(tahrir, "alice")
    long_ago(tahrir)
    deaf = FakePublisher()
    deaf.cannot = "no endpoint"

    make(deaf, another(tahrir))

    eventually(lambda: not kept(tahrir), "an empty outbox")
    assert deaf.tried == []
    assert caplog.messages == ["Notices could not be published for days, giving up count=1"]


@pytest.mark.sqlite
def test_disk_that_is_full_while_notices_are_deleted_is_logged_once_and_loses_nothing(
    tmp_path: Path, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        full = Tahrir(make_settings(sqlite_databases(disk.path), tmp_path), announce=True)
        full.publish_badges([EDITOR, TAGGER])
        bus = FakePublisher()
        bus.holding = True
        outbox = make(bus, full)
        (notice,) = award(full, "alice")
        outbox.publish(notice)
        with engine(full._settings.tahrir_url).connect() as connection:
            connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
            disk.fill()
        ((_, sent),) = bus.held

        sent(notice, None)
        eventually(lambda: outbox.report()["trouble"], "trouble")
        outbox._look()
        assert kept(full) == 1
        disk.make_room()

        eventually(lambda: not kept(full), "an empty outbox")
        eventually(lambda: outbox.report()["trouble"] is None, "no trouble")
        outbox.stop()
        assert caplog.messages == [
            'Cannot use the outbox, trying again later error="tahrir: database or disk is full"',
            "The outbox is used again",
        ]


def test_old_notices_are_kept_where_they_can_be_published(tahrir: Tahrir, make: Make) -> None:
    """After a stop of more than a week, or by a host whose clock is fast."""
    left = award(tahrir, "alice", "bob")
    long_ago(tahrir)
    bus = FakePublisher()
    bus.holding = True
    outbox = make(bus, another(tahrir))

    outbox._look()

    assert kept(tahrir) == len(left)
    eventually(lambda: len(bus.held) == len(left), "both are about to be published")
