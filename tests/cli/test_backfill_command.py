"""``fedbadges backfill``: awards for what was earned earlier, dated and linked accordingly."""

import json
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from support.builders import make_config, make_settings, wipe
from support.bus import Bus
from support.command import fedbadges
from support.databases import Databases
from support.fasjson import Fasjson, User
from support.histories import PastMessage, Storage, awarded, live
from support.rule_text import complete
from support.tahrir import delete_badge, revoke, revoke_as_of
from support.terminal import on_terminal
from support.waiting import eventually
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Person
from tahrir_api.model import Badge as BadgeRow

from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.databases.connections import engine
from fedbadges.replay import backfill
from fedbadges.replay.backfill import DueAward
from fedbadges.rules.loader import load_directory
from fedbadges.rules.recipients import Everybody
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir

START = datetime(2014, 1, 1, 12, 30)
COMMAND = Path(sys.executable).with_name("fedbadges")
LINK = "https://datagrepper.example.org/id?id=2024-{}&is_raw=true&size=extra-large"

RULE = """\
name: Scribe {0}
trigger: {{topic: wiki.edit}}
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(recipient)s"]}}
  operation: count
  condition: {{greater than or equal to: {0}}}
recipient: "%(msg.user)s"
"""
EDITS = ["alice", "bob", "alice", "carol", "alice", "bob", "alice", "bob"]

TABLE = """\
Badge     User   Earned (UTC)         Because of
scribe-3  alice  2014-01-05 12:30:00  org.fedoraproject.prod.wiki.edit 2024-5
scribe-3  bob    2014-01-08 12:30:00  org.fedoraproject.prod.wiki.edit 2024-8
"""


@pytest.fixture
def settings(
    shared_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A deployment in the directory where commands are called, with rules and a history."""
    wipe(shared_database)
    rules = tmp_path / "rules"
    rules.mkdir()
    for count in (3, 2):
        (rules / f"scribe-{count}.yml").write_text(complete(RULE.format(count)))
    made = make_settings(shared_database, rules, keep_counts=False)
    Storage(made).store(
        PastMessage(n, START + timedelta(days=n - 1), "wiki.edit", {"user": name}, (name,))
        for n, name in enumerate(EDITS, 1)
    )
    monkeypatch.chdir(tmp_path)
    configure(shared_database, endpoints={})
    return made


@pytest.fixture
def bus(settings: Settings, shared_database: Databases) -> Iterator[Bus]:
    made = Bus()
    configure(shared_database, endpoints=made.endpoints)
    yield made
    made.close()


def configure(databases: Databases, **others: Any) -> None:
    directory = Path("fedmsg.d")
    directory.mkdir(exist_ok=True)
    config = make_config(databases, Path("rules").resolve()) | others
    (directory / "badges.py").write_text(f"config = {config!r}\n")


def contents(settings: Settings) -> dict[str, Any]:
    """Return all that tahrir has of badges, people and awards, but for salts and such."""
    with Session(engine(settings.tahrir_url)) as session:
        people = {
            each.nickname: (each.id, each.rank) for each in session.scalars(sa.select(Person))
        }
        return {
            "badges": sorted(session.scalars(sa.select(BadgeRow.id))),
            "ranks": {name: rank for name, (_, rank) in people.items()},
            "awards": awarded(settings),
            "dates": {
                (each.badge_id, each.issued_on) for each in session.scalars(sa.select(Assertion))
            },
        }


@pytest.mark.sqlite
def test_backfill_without_award_lists_awards_and_writes_nothing(settings: Settings) -> None:
    before = contents(settings)

    done = fedbadges("backfill", "rules/scribe-3.yml")

    assert (done.exit_code, done.stdout) == (0, TABLE)
    assert done.stderr == "2 badges to award to 2 people; --award awards them\n"
    assert (
        contents(settings) == before == {"badges": [], "ranks": {}, "awards": set(), "dates": set()}
    )


def test_backfill_with_award_dates_links_and_ranks_the_awards(settings: Settings) -> None:
    done = fedbadges("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")

    assert done.exit_code == 0
    assert done.stderr == "4 badges awarded to 2 people\n"
    assert len(done.stdout.splitlines()) == 5
    assert contents(settings) == {
        "badges": ["scribe-2", "scribe-3"],
        "ranks": {"alice": 1, "bob": 1},
        "awards": {
            ("scribe-2", "alice", LINK.format(3)),
            ("scribe-3", "alice", LINK.format(5)),
            ("scribe-2", "bob", LINK.format(6)),
            ("scribe-3", "bob", LINK.format(8)),
        },
        "dates": {
            ("scribe-2", START + timedelta(days=2)),
            ("scribe-3", START + timedelta(days=4)),
            ("scribe-2", START + timedelta(days=5)),
            ("scribe-3", START + timedelta(days=7)),
        },
    }


def test_backfill_gives_the_same_awards_as_the_daemon(
    settings: Settings, shared_database: Databases
) -> None:
    fedbadges("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")
    found = contents(settings)["awards"]

    wipe(shared_database)
    rules = load_directory(settings.rules_directory, load_backends(settings)).rules
    history = [
        PastMessage(n, START + timedelta(days=n - 1), "wiki.edit", {"user": name}, (name,))
        for n, name in enumerate(EDITS, 1)
    ]
    assert live(settings, list(rules), history) == found


@pytest.mark.sqlite
def test_backfill_again_gives_nothing(settings: Settings) -> None:
    fedbadges("backfill", "--award", "--no-publish", "scribe-3")
    before = contents(settings)

    again = fedbadges("backfill", "--award", "--no-publish", "scribe-3")
    look = fedbadges("backfill", "scribe-3")

    assert (again.exit_code, again.stdout) == (look.exit_code, look.stdout) == (0, "")
    assert again.stderr == "0 badges awarded to 0 people\n"
    assert look.stderr == "0 badges to award to 0 people\n"
    assert contents(settings) == before


@pytest.mark.sqlite
def test_backfill_as_json_has_every_award(settings: Settings) -> None:
    done = fedbadges("backfill", "--format", "json", "scribe-3")

    found = json.loads(done.stdout)
    assert found["awards"][0] == {
        "badge": "scribe-3",
        "user": "alice",
        "earned": "2014-01-05T12:30:00Z",
        "topic": "org.fedoraproject.prod.wiki.edit",
        "msg_id": "2024-5",
        "link": LINK.format(5),
    }
    assert [each["user"] for each in found["awards"]] == ["alice", "bob"]
    assert {key: found[key] for key in ("awarded", "complete", "refused")} == {
        "awarded": False,
        "complete": True,
        "refused": [],
    }


@pytest.mark.sqlite
def test_backfill_publishes_awards_and_ranks(settings: Settings, bus: Bus) -> None:
    done = fedbadges("backfill", "--award", "scribe-3")

    assert done.exit_code == 0, done.stderr
    for name in ("alice", "bob"):
        (heard,) = eventually(lambda name=name: bus.awards(name), f"the award to {name}")
        assert heard["msg"]["badge"]["badge_id"] == "scribe-3"
    ranks = eventually(lambda: bus.heard("fedbadges.person.rank.advance"), "the ranks")
    assert {each["msg"]["person"]["nickname"] for each in ranks} <= {"alice", "bob"}


@pytest.mark.sqlite
def test_backfill_awards_nothing_if_it_cannot_publish(settings: Settings) -> None:
    done = fedbadges("backfill", "--award", "scribe-3")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "--no-publish" in done.stderr
    assert contents(settings)["awards"] == set()


@pytest.mark.sqlite
def test_backfill_skips_holders_and_who_opted_out(settings: Settings) -> None:
    tahrir = Tahrir(settings)
    tahrir.publish_badges(
        rule.badge for rule in load_directory(Path("rules"), load_backends(settings)).rules
    )
    tahrir.award([Award("scribe-3", "alice", "by hand")])
    with Session(engine(settings.tahrir_url)) as session:
        session.add(Person(email="bob@example.org", nickname="bob", opt_out=True))
        session.commit()

    done = fedbadges("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")

    assert done.stderr == "1 badge awarded to 1 person\n"
    assert contents(settings)["awards"] == {
        ("scribe-3", "alice", "by hand"),
        ("scribe-2", "alice", LINK.format(3)),
    }


@pytest.mark.sqlite
def test_badge_that_is_deleted_during_a_backfill_is_created_again(
    settings: Settings, one_by_one: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete() -> None:
        with Session(engine(settings.tahrir_url)) as session:
            delete_badge(TahrirDatabase(session=session), "scribe-3")

    after(2, delete, monkeypatch)
    done = fedbadges("backfill", "--award", "--no-publish", "scribe-3")

    assert done.exit_code == 0, done.stderr
    assert contents(settings)["awards"] == {("scribe-3", "bob", LINK.format(8))}


@pytest.mark.slow
@pytest.mark.sqlite
def test_backfill_skips_users_without_a_fasjson_account(
    settings: Settings, shared_database: Databases
) -> None:
    pytest.importorskip("fasjson_client", reason="make test-slow installs the extra fasjson")
    service = Fasjson({"bob": User()}, set())
    try:
        accounts = {"badges.accounts": "fasjson", "badges.fasjson.url": service.url}
        configure(shared_database, endpoints={}, **accounts, **{"badges.fasjson.auth": False})
        done = fedbadges("backfill", "scribe-3")
    finally:
        service.server.stop()

    assert done.exit_code == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == ["bob"]


@pytest.mark.sqlite
def test_backfill_skips_users_that_the_accounts_service_does_not_know(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OnlyBob(Everybody):
        def exists(self, username: str) -> bool:
            return username == "bob"

    monkeypatch.setattr("fedbadges.replay.replay.make_accounts", lambda settings: OnlyBob())
    done = fedbadges("backfill", "--award", "--no-publish", "scribe-3")

    assert done.stderr == "1 badge awarded to 1 person\n"
    assert contents(settings)["awards"] == {("scribe-3", "bob", LINK.format(8))}


# Stopped, and run again


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "_BATCH", 1)


def after(count: int, do: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call a function while the batch with this number is awarded."""
    give, given = backfill.award_batch, []

    def disturbed(dues: list[backfill.DueAward], *others: Any) -> None:
        given.append(dues)
        if len(given) == count:
            do()
        give(dues, *others)

    monkeypatch.setattr(backfill, "award_batch", disturbed)


@pytest.mark.sqlite
@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("count", [1, 2, 4])
def test_backfill_finishes_its_batch_on_ctrl_c_and_can_be_run_again(
    settings: Settings, shared_database: Databases, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    arguments = ("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")
    fedbadges(*arguments)
    at_once = contents(settings)
    with Session(engine(settings.tahrir_url)) as session:
        for table in (Assertion, Person, BadgeRow):
            session.execute(sa.delete(table))
        session.commit()

    with monkeypatch.context() as patch:
        after(count, lambda: signal.raise_signal(signal.SIGINT), patch)
        stopped = fedbadges(*arguments)
    assert stopped.exit_code == 1
    assert stopped.stderr.startswith("Stopped before the end of the history: ")
    assert len(contents(settings)["awards"]) == len(stopped.stdout.splitlines()) - 1 == count

    assert fedbadges(*arguments).exit_code == 0
    assert contents(settings) == at_once


@pytest.mark.sqlite
@pytest.mark.usefixtures("one_by_one")
def test_backfill_continues_after_a_crash(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die() -> None:
        raise Died

    with monkeypatch.context() as patch:
        after(3, die, patch)
        with pytest.raises(Died):
            fedbadges("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")
    assert len(contents(settings)["awards"]) == 2

    done = fedbadges("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")

    assert done.stderr == "2 badges awarded to 1 person\n"
    assert contents(settings)["ranks"] == {"alice": 1, "bob": 1}


@pytest.mark.usefixtures("one_by_one")
def test_backfill_races_with_the_daemon_without_duplicates(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def race() -> None:
        for name in ("alice", "bob"):
            for badge in ("scribe-2", "scribe-3"):
                Tahrir(settings).award(badge, name, "live")

    def start() -> None:
        racing.start()

    racing = threading.Thread(target=race)
    after(1, start, monkeypatch)
    done = fedbadges("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")
    racing.join()

    assert done.exit_code == 0, done.stderr
    found = contents(settings)["awards"]
    assert len(found) == len({each[:2] for each in found}) == 4
    ours = sum(link != "live" for *_, link in found)
    assert len(done.stdout.splitlines()) == (ours + 1 if ours else 0)


@pytest.mark.sqlite
def test_backfill_awards_what_was_found_before_ctrl_c(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_award, calls = backfill.due_award, []

    def press(*arguments: Any) -> backfill.DueAward:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return due_award(*arguments)

    monkeypatch.setattr(backfill, "due_award", press)

    done = fedbadges("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")

    assert done.exit_code == 1
    assert done.stderr == "Stopped before the end of the history: 2 badges awarded to 1 person\n"
    assert len(contents(settings)["awards"]) == 2


@pytest.mark.sqlite
def test_backfill_stopped_before_anything_was_found_exits_with_2(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backfill, "due_award", interrupt)

    done = fedbadges("backfill", "scribe-3")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Stopped before the end of the history: 0 badges")


# What cannot be


@pytest.mark.sqlite
def test_backfill_refuses_a_legacy_badge(settings: Settings) -> None:
    fedbadges("backfill", "--award", "--no-publish", "scribe-2")
    with Session(engine(settings.tahrir_url)) as session:
        TahrirDatabase(session=session).update_badge("scribe-2", legacy=True)

    done = fedbadges("backfill", "--award", "--no-publish", "scribe-2", "scribe-3")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "scribe-2: this is a legacy badge in tahrir, which cannot be awarded\n"


@pytest.mark.sqlite
def test_backfill_refuses_a_badge_without_a_rule(settings: Settings) -> None:
    done = fedbadges("backfill", "scribe-9")

    assert done.exit_code == 2
    assert done.stderr == "'scribe-9' is neither a rule file nor the id of a badge with a rule\n"


@pytest.mark.sqlite
def test_backfill_reports_an_unreachable_database_in_one_line(settings: Settings) -> None:
    done = fedbadges("backfill", "--history-url", "sqlite:////nowhere/d.db", "scribe-3")

    assert done.exit_code == 2
    assert done.stderr == "datanommer: unable to open database file\n"


@pytest.mark.sqlite
def test_backfill_lists_the_awards_before_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise sa.exc.ProgrammingError("", {}, Exception("tables are gone"))

    monkeypatch.setattr(Tahrir, "adjust_ranks", fail)
    done = fedbadges("backfill", "--award", "--no-publish", "scribe-3")

    assert (done.exit_code, done.stdout) == (2, TABLE)
    assert done.stderr.splitlines() == [
        "2 badges awarded to 2 people",
        "database error: tables are gone",
    ]


@pytest.mark.sqlite
def test_backfill_escapes_control_characters_of_messages(settings: Settings) -> None:
    Storage(settings).store(
        [
            PastMessage(
                20,
                START,
                "odd\x1b[31m.wiki.edit",
                {"user": "erin"},
                ("erin",),
                msg_id="\x1b]0;x\x07",
            ),
            PastMessage(
                21, START, "odd\x1b[31m.wiki.edit", {"user": "erin"}, ("erin",), msg_id="y"
            ),
        ]
    )

    for form in ("text", "json"):
        done = fedbadges("backfill", "--format", form, "scribe-2")
        assert "erin" in done.stdout
        assert "\x1b" not in done.stdout


@pytest.mark.sqlite
def test_backfill_on_a_terminal_prints_a_coloured_table(settings: Settings) -> None:
    shown = on_terminal(COMMAND, "backfill", "scribe-3", COLUMNS="120")

    assert "\x1b[1mBadge" in shown
    assert "2024-5" in shown


@pytest.fixture
def tahrir(settings: Settings) -> Tahrir:
    """With the badges of all rules."""
    made = Tahrir(settings)
    rules = load_directory(settings.rules_directory, load_backends(settings)).rules
    made.publish_badges(rule.badge for rule in rules)
    return made


def test_backfill_gives_a_revoked_badge_by_a_later_message_alone(tahrir: Tahrir) -> None:
    """Alice edits on the days 0, 2, 4 and 6, bob on 1, 5 and 7."""
    revoke_as_of(tahrir, "scribe-2", "alice", START + timedelta(days=4))
    revoke_as_of(tahrir, "scribe-2", "bob", START + timedelta(days=7))
    command = ("backfill", "--format", "json", "scribe-2")

    listed = json.loads(fedbadges(*command).stdout)["awards"]
    given = json.loads(fedbadges(*command, "--award", "--no-publish").stdout)["awards"]

    assert [(each["user"], each["msg_id"]) for each in listed] == [("alice", "2024-7")]
    assert given == listed


def test_backfill_gives_no_revoked_badge_by_a_message_that_was_stored_before(
    tahrir: Tahrir,
) -> None:
    """Alice edits in the rows 1, 3, 5 and 7, bob in 2, 6 and 8; the clocks are far ahead."""
    revoke_as_of(tahrir, "scribe-2", "alice", START - timedelta(days=1), last_number=5)
    revoke_as_of(tahrir, "scribe-2", "bob", START - timedelta(days=1), last_number=8)
    command = ("backfill", "--format", "json", "scribe-2")

    listed = json.loads(fedbadges(*command).stdout)["awards"]
    given = json.loads(fedbadges(*command, "--award", "--no-publish").stdout)["awards"]

    assert [(each["user"], each["msg_id"]) for each in listed] == [("alice", "2024-7")]
    assert given == listed


@pytest.mark.sqlite
def test_backfill_never_gives_what_was_revoked_for_good(tahrir: Tahrir) -> None:
    revoke_as_of(tahrir, "scribe-2", "alice", START, for_good=True)

    listed = json.loads(fedbadges("backfill", "--format", "json", "scribe-2").stdout)["awards"]

    assert [each["user"] for each in listed] == ["bob"]


@pytest.mark.sqlite
def test_badge_that_is_revoked_while_a_backfill_runs_is_not_given_by_it(
    tahrir: Tahrir, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = backfill.not_held

    def revoke_then(dues: Iterable[DueAward], tahrir: Tahrir) -> list[DueAward]:
        found = list(dues)
        if found:
            revoke(tahrir, "scribe-2", "alice", for_good=True, create=True)
        return replayed(found, tahrir)

    monkeypatch.setattr(backfill, "not_held", revoke_then)

    done = fedbadges("backfill", "--award", "--no-publish", "--format", "json", "scribe-2")

    assert [each["user"] for each in json.loads(done.stdout)["awards"]] == ["bob"]


@pytest.mark.sqlite
@pytest.mark.parametrize("day", range(-1, 9))
def test_backfill_after_revocations_gives_the_same_awards_as_the_daemon(
    tahrir: Tahrir, settings: Settings, shared_database: Databases, day: int
) -> None:
    when = START + timedelta(days=day)
    rules = load_directory(settings.rules_directory, load_backends(settings)).rules
    history = [
        PastMessage(n, START + timedelta(days=n - 1), "wiki.edit", {"user": name}, (name,))
        for n, name in enumerate(EDITS, 1)
    ]

    def revoke_both() -> None:
        tahrir.publish_badges(rule.badge for rule in rules)
        revoke_as_of(tahrir, "scribe-2", "alice", when)
        revoke_as_of(tahrir, "scribe-3", "bob", when)

    revoke_both()
    fedbadges("backfill", "--award", "--no-publish", "scribe-3", "scribe-2")
    found = contents(settings)["awards"]

    wipe(shared_database)
    revoke_both()
    assert live(settings, list(rules), history) == found
