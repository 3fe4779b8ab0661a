"""Counts outlive the process in a file, which is never trusted and never waited for."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_message, make_settings, statements
from support.cached_history import DISTANCE, Past, of, operation
from support.databases import Databases
from support.optimisations import needs

from fedbadges.databases.connections import engine, reader
from fedbadges.history import count_saver, fold_cache
from fedbadges.history.count_cache import CachedCount
from fedbadges.history.count_saver import CountSaver
from fedbadges.history.kept import file as count_file
from fedbadges.history.kept import region
from fedbadges.history.kept.file import CountFile, Entry
from fedbadges.history.message_reader import MessageHeader
from fedbadges.history.offering import marks_of
from fedbadges.messages import Position

pytestmark = needs("keep_counts")

LOST = "Not using the counts of the last start"
DAMAGED = "The file of counts is damaged, beginning a new one"
UNUSABLE = "Cannot keep counts in the state directory, going on in memory"
AGAIN = "Counts are kept in the state directory again"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state" / count_file.NAME


@pytest.fixture
def past(sqlite_database: Databases, path: Path) -> Past:
    return make_past(sqlite_database, path)


@pytest.fixture
def sql_past(database: Databases, path: Path) -> Iterator[Past]:
    made = make_past(database, path)
    yield made
    for each in (engine(made.url), reader(made.url)):
        each.dispose()


def make_past(databases: Databases, path: Path, **keys: Any) -> Past:
    return Past(make_settings(databases, path.parent, state_directory=str(path.parent), **keys))


def asked(past: Past, topic: str, *users: str) -> tuple[int, int]:
    """Return a count, and how many statements it took."""
    with statements(past.url) as sent:
        return past.cached.count(of(topic, *users)), len(sent)


def restart(past: Past) -> None:
    past.saver.step()
    past.saver.stop()
    past.begin_process()


def warm(past: Past, count: int = 3) -> str:
    """Store and count messages, and write the count."""
    topic = past.topic()
    for _ in range(count):
        past.store(topic, "ann", 2 * DISTANCE)
    past.cached.count(of(topic, "ann"))
    past.saver.step()
    return topic


def damage(path: Path, place: int = 4096 + 300, content: bytes = b"x" * 3000) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def test_first_question_after_a_restart_reads_only_what_is_new(sql_past: Past) -> None:
    topic = warm(sql_past)
    first, second = of(topic, "ann"), of(topic)
    sql_past.cached.count(second)
    restart(sql_past)
    sql_past.store(topic, "ann", 3 * DISTANCE)
    sql_past.store(topic, "ann", 0)

    with statements(sql_past.url) as sent:
        assert sql_past.cached.count(first) == 5
    # What the window has is read once for all questions; the others read its new end.
    loading = [each for each in sent if "count(" in each]
    assert loading == [], "nothing is counted by SQL"
    assert asked(sql_past, topic) == (5, 1)
    assert asked(sql_past, topic, "ann") == (5, 1)


def test_the_window_is_read_at_the_restart_rather_than_for_the_first_question(past: Past) -> None:
    topic = warm(past)
    past.store(topic, "ann", 0)
    restart(past)

    assert past.cached.window.seen().mark > 0
    assert past.cached.window.latest_people(9) == {"ann"}


@pytest.mark.parametrize("age", [0.0, DISTANCE + 50, 50 * DISTANCE])
@pytest.mark.parametrize("seen", [True, False], ids=["after it was continued", "while down"])
def test_row_that_is_committed_after_the_restart_with_a_lower_number_counts_once(
    sql_past: Past, age: float, seen: bool
) -> None:
    topic = warm(sql_past)
    sql_past.begin(1)
    sql_past.compare(of(topic, "ann"))
    restart(sql_past)
    if seen:
        assert asked(sql_past, topic, "ann")[0] == 3

    sql_past.store(topic, "ann", age, begun=0)

    for _ in range(2):
        assert asked(sql_past, topic, "ann")[0] == 4
        restart(sql_past)


def test_window_of_a_row_that_is_another_one_by_now_is_not_continued(past: Past) -> None:
    last = [past.store(past.topic(), "ann", 0) for _ in range(3)][-1]
    past.cached.count(of("none"))
    past.cached.count(of("none"))
    saved = past.cached.window.save()
    assert saved is not None
    assert saved.mark == last[1]
    past.cached.window.restore(saved)
    past.cached.count(of("none"))
    assert past.cached.window.seen().lineage == saved.lineage

    past.lose(last[1])
    past.store(past.topic(), "bea", 0)
    past.cached.window.restore(saved)
    past.cached.count(of("none"))
    assert past.cached.window.seen().lineage != saved.lineage


def test_somebody_who_was_asked_about_long_ago_costs_one_more_query(sql_past: Past) -> None:
    topic = warm(sql_past)
    sql_past.clock.now += 10_000
    sql_past.store(topic, "ann", 5000)
    sql_past.store(topic, "ann", 1)
    restart(sql_past)
    sql_past.cached.count(of(sql_past.topic(), "ann"))

    assert asked(sql_past, topic, "ann") == (5, 2)


def test_what_was_counted_by_a_clock_that_was_fast_does_no_harm_later(sql_past: Past) -> None:
    topic = sql_past.topic()
    numbers = "len({m.msg_id for m in query.all()})"
    year = 365 * 86_400.0
    sql_past.store(topic, "ann", 2 * DISTANCE)
    for _ in range(2):
        sql_past.clock.now += year
        sql_past.cached.count(of(topic, "ann"))
        fold(sql_past, topic, numbers)
        sql_past.saver.step()
        sql_past.clock.now -= year
        sql_past.begin_process()
        for expected in range(2, 6):
            sql_past.clock.now += 2 * DISTANCE
            until = sql_past.store(topic, "ann", 1.0)
            with statements(sql_past.url) as sent:
                assert sql_past.cached.count(of(topic, "ann"), until=until) >= expected
                fold(sql_past, topic, numbers, until)
            sql_past.compare(of(topic, "ann"), until=until)
            sql_past.compare_fold(of(topic, "ann"), operation(numbers), until)
        assert len(sent) <= 3, "what is new for each, and its content"


def test_count_that_is_enough_is_not_asked_again_after_a_restart(past: Past) -> None:
    topic = past.topic()
    for _ in range(3):
        past.store(topic, "ann", 2 * DISTANCE)
    past.cached.count(of(topic, "ann"), enough=2)
    restart(past)

    with statements(past.url) as sent:
        assert past.cached.count(of(topic, "ann"), enough=2) >= 2
    assert sent == []


def test_counts_are_kept_without_a_window_where_too_much_was_stored_meanwhile(
    sql_past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = warm(sql_past)
    monkeypatch.setattr("fedbadges.history.window.recent_window._MOST", 3)
    for age in (900, 800, 700, 600, 500):
        sql_past.store(topic, "ann", age)
    restart(sql_past)

    assert [asked(sql_past, topic, "ann")[0] for _ in range(3)] == [8, 8, 8]


def test_file_is_for_its_owner_only(past: Past, path: Path) -> None:
    warm(past)

    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}


def test_link_is_not_followed(past: Past, path: Path, tmp_path: Path) -> None:
    topic = warm(past)
    past.saver.stop()
    for each in path.parent.iterdir():
        each.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    past.begin_process()
    past.saver.step()

    assert asked(past, topic, "ann")[0] == 3
    assert not (tmp_path / "elsewhere").exists()


def test_a_crash_loses_only_what_is_new(past: Past) -> None:
    topic = warm(past)
    past.store(topic, "ann", 2 * DISTANCE)
    other = past.topic()
    past.store(other, "ann", 2 * DISTANCE)
    past.compare(of(topic, "ann"))
    past.compare(of(other, "ann"))

    past.begin_process()

    past.compare(of(topic, "ann"))
    past.compare(of(other, "ann"))


@pytest.mark.parametrize("place", [0, 18, 60, 100, 4096, 4096 + 3000, 3 * 4096, 5 * 4096 + 4000])
def test_damaged_file_is_replaced_once_and_no_count_is_wrong(
    past: Past, path: Path, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    topic = warm(past)
    past.saver.stop()
    damage(path, place, bytes(range(96)))

    for _ in range(2):
        past.begin_process()
        assert [asked(past, topic, "ann")[0] for _ in range(2)] == [3, 3]
        past.saver.step()
        past.saver.step()
        past.saver.stop()
    past.begin_process()
    assert asked(past, topic, "ann")[0] == 3
    assert [each.startswith(DAMAGED) for each in caplog.messages if "damaged" in each] in (
        [],
        [True],
    )
    assert CountFile(path).count() > 0


def test_changed_digit_is_noticed(past: Past, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite itself has no checksums."""
    topic = warm(past)
    past.saver.stop()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE counts SET value = replace(value, '[3,', '[4,')")
    connection.close()
    past.begin_process()

    assert asked(past, topic, "ann")[0] == 3
    past.saver.step()
    assert [each for each in caplog.messages if each.startswith(DAMAGED)]


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\0" * 5000])
def test_any_other_file_is_replaced(past: Past, path: Path, content: bytes) -> None:
    past.saver.stop()
    path.write_bytes(content)
    past.begin_process()
    topic = warm(past)
    restart(past)

    assert past.cached.kept is not None
    assert asked(past, topic, "ann")[0] == 3
    assert CountFile(path).count() > 0


def test_another_version_of_the_format_is_not_read(past: Past, path: Path) -> None:
    topic = warm(past)
    past.saver.stop()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE counts SET value = 'of the future'")
    connection.execute("PRAGMA user_version = 999")
    connection.commit()
    connection.close()
    past.begin_process()

    assert asked(past, topic, "ann")[0] == 3


def test_counts_of_another_database_are_not_used(
    past: Past, tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warm(past)
    past.saver.stop()
    url = past.settings.history_url
    copy = tmp_path / "another.db"
    with sqlite3.connect(copy) as target, sqlite3.connect(str(url.database)) as source:
        source.backup(target)
    settings = replace(past.settings, history_url=url.set(database=str(copy)))
    caplog.set_level("INFO")

    Past(settings)

    (line,) = [each for each in caplog.messages if each.startswith(LOST)]
    assert "another database" in line


def test_counts_are_dropped_when_a_backup_was_restored_while_the_daemon_was_down(
    past: Past, caplog: pytest.LogCaptureFixture
) -> None:
    topic = past.topic()
    past.store(topic, "ann", 2 * DISTANCE)
    lost = [past.store(topic, "ann", 2 * DISTANCE) for _ in range(3)]
    past.cached.count(of(topic, "ann"))
    past.saver.step()
    past.saver.stop()
    past.lose(lost[0][1])
    for _ in range(5):
        past.store(topic, "bea", 2 * DISTANCE)
    caplog.set_level("INFO")
    past.begin_process()

    assert asked(past, topic, "ann")[0] == 1
    assert asked(past, topic, "bea")[0] == 5
    (line,) = [each for each in caplog.messages if each.startswith(LOST)]
    assert "the history has gone back in time" in line


def test_nothing_of_a_replaced_history_is_written(past: Past) -> None:
    topic = warm(past)
    last = past.store(topic, "ann", 2 * DISTANCE)
    past.cached.count(of(topic, "ann"))
    past.saver.step()
    past.store(topic, "ann", 2 * DISTANCE)
    past.cached.count(of(topic, "ann"))
    past.lose(last[1])
    for _ in range(3):
        past.store(topic, "bea", 2 * DISTANCE)

    past.saver.step()
    past.begin_process()

    assert asked(past, topic, "ann")[0] == 3


def test_counts_after_a_replaced_history_was_noticed_outlive_the_process(past: Past) -> None:
    topic = warm(past)
    past.cached.forget()
    past.cached.count(of(topic, "ann"))
    past.saver.step()
    past.begin_process()

    assert past.cached.kept is not None
    with statements(past.url) as sent:
        assert past.cached.count(of(topic, "ann")) == 3
    assert not [each for each in sent if "count(" in each]


def test_full_disk_is_one_line_and_counts_go_on_in_memory(
    past: Past, caplog: pytest.LogCaptureFixture
) -> None:
    topic = warm(past)
    file = past.saver._file
    assert file is not None
    (pages,) = file._writer.execute("PRAGMA page_count").fetchone()
    file._writer.execute(f"PRAGMA max_page_count = {pages}")
    caplog.clear()
    caplog.set_level("INFO")

    def count_many() -> None:
        for number in range(300):
            past.cached.count(of(topic, f"user{number}"))

    count_many()
    for _ in range(3):
        past.saver.step()
    assert [each.split(" path")[0] for each in caplog.messages] == [UNUSABLE]
    assert asked(past, topic, "ann") == (3, 1)

    file._writer.execute("PRAGMA max_page_count = 100000")
    for _ in range(2):
        past.saver.step()
    assert [each.split(" path")[0] for each in caplog.messages] == [UNUSABLE, AGAIN]
    assert file.count() >= 301


def test_directory_that_is_gone_is_one_line(
    past: Past, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topic = warm(past)
    past.saver.stop()
    for each in path.parent.glob("counts*"):
        each.unlink()
    path.mkdir()
    caplog.clear()
    past.begin_process()

    for _ in range(3):
        past.saver.step()
        assert asked(past, topic, "ann")[0] == 3
    assert [each.split(" path")[0] for each in caplog.messages] == [UNUSABLE]


def test_deleted_file_is_made_again_with_what_is_in_memory(past: Past, path: Path) -> None:
    topic = warm(past)
    numbers = "len({m.msg_id for m in query.all()})"
    fold(past, topic, numbers)
    for each in path.parent.glob("counts*"):
        each.unlink()
    past.store(topic, "ann", 2 * DISTANCE)
    for _ in range(3):
        assert asked(past, topic, "ann")[0] == 4
        past.saver.step()
    restart(past)

    with statements(past.url) as sent:
        assert past.cached.count(of(topic, "ann")) == 4
        assert fold(past, topic, numbers) == 4
    assert not [each for each in sent if "count(" in each or "ORDER BY messages.timestamp" in each]


def test_file_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_file, "_MAX_ROWS", 10)
    monkeypatch.setattr(count_file, "_TRIM_EVERY", 1)
    file = CountFile(path)
    for number in range(30):
        file.write([(str(number), Entry("[]", f"horizon {number}"))], {"a": 1})

    assert file.count() == 10
    assert file.read("19") is None
    assert file.read("20") == Entry("[]", "horizon 20")
    (horizons,) = file._writer.execute("SELECT count(*) FROM horizons").fetchone()
    assert horizons == 10


def test_file_is_bounded_in_bytes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_file, "_MAX_BYTES", 200_000)
    file = CountFile(path)
    for number in range(100):
        file.write([(str(number), Entry("x" * 10_000, ""))], {"a": 1})

    assert file._bytes() < 250_000
    assert file.read("0") is None
    assert file.read("99") is not None


def test_memory_of_what_must_be_written_is_bounded(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(region, "_MOST_CHANGED", 5)
    kept = past.cached.kept
    assert kept is not None
    kept.take()
    for number in range(20):
        kept.note(str(number), CachedCount())

    assert len(kept.take()) == 5


def test_what_the_file_does_not_have_is_looked_up_once(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    kept, file = past.cached.kept, past.saver._file
    assert kept is not None
    assert file is not None
    monkeypatch.setattr(file, "read", looked.append)
    counts = region.KeptCounts(kept, CachedCount.of)

    assert [counts.get("one") for _ in range(3)] == [None] * 3
    assert looked == ["one"]


def test_folds_outlive_the_process_and_read_only_what_is_new(sql_past: Past) -> None:
    topic = sql_past.topic()
    for number in range(4):
        sql_past.store(topic, "ann", 2 * DISTANCE, n=number % 3)
    for text in FOLDS:
        fold(sql_past, topic, text)
    restart(sql_past)
    sql_past.store(topic, "ann", 0, n=7)
    sql_past.cached.count(of(sql_past.topic()))

    for text, expected in FOLDS.items():
        with statements(sql_past.url) as sent:
            assert fold(sql_past, topic, text) == expected
        assert len(sent) <= 2, "what is new, and its content"


FOLDS: dict[str, Any] = {
    "len({m.msg['n'] for m in query.all()})": 4,
    "sum(m.msg['n'] for m in query)": 10,
    "max(m.msg['n'] for m in query)": 7,
    "any(m.msg['n'] == 7 for m in query)": True,
    "len({'long' * 100 if m.msg['n'] else (m.msg['n'], 1.5) for m in query})": 2,
}


def fold(past: Past, topic: str, text: str, until: Position | None = None) -> Any:
    return past.cached.fold(operation(text), of(topic, "ann"), make_message(), until, {})


def test_fold_that_raises_is_not_kept(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 2 * DISTANCE, n=0)
    question = of(topic, "ann"), operation("max(1 / m.msg['n'] for m in query)")
    for _ in range(2):
        past.compare_fold(*question)
        restart(past)
    assert past.saver._file is not None
    assert past.saver._file.count() == 0


def test_fold_that_is_read_while_the_history_is_replaced_is_not_written(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = past.topic()
    past.store(topic, "ann", 2 * DISTANCE, n=0)
    in_order = fold_cache._in_order

    def replaced(stream: Any) -> Any:
        past.cached.forget()
        return in_order(stream)

    monkeypatch.setattr(fold_cache, "_in_order", replaced)
    assert fold(past, topic, "len({m.msg['n'] for m in query.all()})") == 1
    for _ in range(2):
        past.saver.step()

    assert past.saver._file is not None
    assert past.saver._file.count() == 0


def test_much_is_written_in_portions(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_saver, "_MOST_AT_ONCE", 100)
    topic = past.topic()
    for number in range(10):
        past.cached.count(of(topic, f"user{number}"))
    past.store(topic, "user0")
    file = past.saver._file
    assert file is not None

    past.saver.step()
    assert 0 < file.count() < 10
    past.saver.start()
    past.saver.stop()

    past.begin_process()
    assert past.saver._file is not None
    assert past.saver._file.count() == 10


_WRITER = """
import sys
from pathlib import Path
from fedbadges.history.kept.file import CountFile, Entry
from fedbadges.history.message_reader import MessageHeader
from fedbadges.history.offering import marks_of
from fedbadges.messages import Position

file = CountFile(Path(sys.argv[1]))
number = file.about().get("number", 0)
print("begun", flush=True)
while True:
    number += 1
    entries = [(str(key), Entry(str(number), f"horizon {number}")) for key in range(200)]
    file.write(entries, {"number": number})
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 2, 7, 20])
def test_kill_leaves_what_was_written_as_a_whole(path: Path, lines: int) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    last = [writer.stdout.readline() for _ in range(lines)][-1]
    writer.send_signal(signal.SIGKILL)
    writer.wait()

    file = CountFile(path)
    number = file.about().get("number", 0)
    assert number >= (0 if lines == 1 else int(last))
    for key in range(200):
        assert file.read(str(key)) == (Entry(str(number), f"horizon {number}") if number else None)


def test_nothing_is_written_of_a_history_that_is_replaced_meanwhile(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = warm(past)
    past.cached.count(of(topic))
    last = past.saver._reader.last

    def replaced() -> MessageHeader | None:
        past.cached.forget()
        return last()

    monkeypatch.setattr(past.saver._reader, "last", replaced)
    assert past.saver._file is not None
    before = past.saver._file.count()
    past.saver.step()

    assert past.saver._file.count() == before


def test_mark_of_a_history_that_was_replaced_is_not_written(past: Past) -> None:
    warm(past)
    marks = marks_of(past.cached)
    assert marks is not None
    past.cached.forget()

    marks.add({"asked": False})
    restart(past)

    marks = marks_of(past.cached)
    assert marks is not None
    assert marks.find("asked") is None


@pytest.mark.parametrize(
    "keys",
    [{"keep_counts": False}, {"cache": {"backend": "dogpile.cache.memory"}}],
    ids=["nothing is cached", "cached elsewhere"],
)
def test_no_file_is_made_where_counts_are_not_in_memory(
    sqlite_database: Databases, path: Path, keys: dict[str, Any]
) -> None:
    past = make_past(sqlite_database, path, **keys)
    warm(past)

    assert list(path.parent.iterdir()) == []


def test_nothing_in_the_file_is_code(past: Past, path: Path) -> None:
    warm(past)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT value FROM counts").fetchall()
        (about,) = connection.execute("SELECT value FROM about").fetchone()
    connection.close()

    assert all(json.loads(value) for (value,) in rows)
    assert json.loads(about)["database"] == repr(past.settings.history_url)


def test_password_is_not_in_the_file(past: Past, path: Path) -> None:
    url = sa.make_url("postgresql+psycopg2://someone:secret@nowhere.example.org/history")
    saver = CountSaver(replace(past.settings, history_url=url), past.cached)

    assert "secret" not in saver._database
