"""Rules that change while the daemon runs."""

import errno
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.builders import make_settings
from support.databases import Databases
from support.rules import counting_rule, write_rules
from support.waiting import eventually

from fedbadges.criteria.backends import load_backends
from fedbadges.rules.criteria import Backends
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Badge
from fedbadges.service import rulebook
from fedbadges.service.rulebook import RuleBook, Watcher
from fedbadges.tahrir.badges import Unawardable


class Shelf:
    """A rule directory with a book of it, and what tahrir was told."""

    def __init__(self, directory: Path, backends: Backends) -> None:
        self.directory = directory
        self.published: list[list[str]] = []
        self.answer = Unawardable()
        self.book = RuleBook(directory, backends, self._publish)

    def write(self, name: str, text: str) -> None:
        write_rules(self.directory, {name: text})

    def load(self) -> list[str]:
        return [rule.badge.name for rule in self.book.load()]

    def _publish(self, badges: Iterator[Badge]) -> Unawardable:
        self.published.append([badge.name for badge in badges])
        return self.answer


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    directory = tmp_path / "rules"
    directory.mkdir()
    databases = Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")
    return Shelf(directory, load_backends(make_settings(databases, directory)))


def test_every_good_rule_is_in_force_and_published(shelf: Shelf) -> None:
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.write("b", counting_rule("Second", "git.receive", 2))

    assert shelf.load() == ["First", "Second"]
    assert shelf.published == [["First", "Second"]]


def test_a_file_that_became_bad_keeps_its_last_good_version(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.load()
    shelf.write("a", "name: First\n")

    assert shelf.load() == ["First"]
    assert "missing key 'trigger' in a rule" in caplog.text


def test_a_mistake_that_stays_is_said_once(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    shelf.write("bad", "name: [")
    shelf.load()
    shelf.load()

    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1


def test_a_removed_file_is_in_force_no_longer(shelf: Shelf) -> None:
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.load()
    (shelf.directory / "a.yml").unlink()

    assert shelf.load() == []


def test_a_legacy_badge_is_not_in_force(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    shelf.answer = Unawardable(legacy=frozenset(["old-one"]))
    shelf.write("a", counting_rule("Old One", "git.receive", 1))

    assert shelf.load() == []
    assert "Legacy badge is not awarded badge=old-one" in caplog.text


def test_badge_that_tahrir_refuses_is_left_out_and_logged_once_with_its_rule(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.answer = Unawardable(refused={"second": "tahrir does not want it"})
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.write("b", counting_rule("Second", "git.receive", 2))

    assert shelf.load() == shelf.load() == ["First"]
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        f'Mistake in a rule mistake="{shelf.directory}/b.yml:1:1: tahrir does not want it"'
    ]


def test_badge_that_tahrir_no_longer_refuses_is_in_force(shelf: Shelf) -> None:
    shelf.answer = Unawardable(refused={"first": "tahrir does not want it"})
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.load()
    shelf.answer = Unawardable()

    assert shelf.load() == ["First"]


def test_rules_stay_in_force_if_their_directory_is_gone_and_that_is_logged_once(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.load()
    shelf.directory.rename(shelf.directory.with_name("rules.old"))

    assert shelf.load() == shelf.load() == ["First"]
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        f'Mistake in a rule mistake="{shelf.directory}:1:1: cannot be read: '
        'No such file or directory"'
    ]


Watch = Callable[..., None]
"""Begins to watch, for the length of a test: calls a function, of a directory's changes."""


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watchers = []

    def start(changed: Callable[[], object], directory: Path = tmp_path) -> None:
        watcher = Watcher(directory, lambda: changed() and None, looking=0.05)
        watcher.start()
        watchers.append(watcher)

    yield start
    for watcher in watchers:
        watcher.stop()


def test_added_changed_moved_and_removed_files_are_noticed(tmp_path: Path, watch: Watch) -> None:
    seen: list[list[str]] = []
    watch(lambda: seen.append(sorted(p.name for p in tmp_path.rglob("*.yml"))))

    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/a.yml").write_text("one")
    eventually(lambda: ["a.yml"] in seen, "the added file noticed")
    before = len(seen)
    (tmp_path / "deeper/a.yml").write_text("two")
    eventually(lambda: len(seen) > before, "the changed file noticed")
    (tmp_path / "deeper/a.yml").rename(tmp_path / "b.yml")
    eventually(lambda: seen[-1] == ["b.yml"], "the moved file noticed")
    (tmp_path / "b.yml").unlink()
    eventually(lambda: seen[-1] == [], "the removed file noticed")


def test_reading_the_rules_is_no_change(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "a.yml").write_text("one")
    calls: list[str] = []
    watch(lambda: calls.append((tmp_path / "a.yml").read_text()))

    (tmp_path / "a.yml").write_text("two")
    eventually(lambda: "two" in calls, "the change noticed")
    # Had reading counted as a change, this would never come to rest.
    calls.clear()
    (tmp_path / "b.yml").write_text("three")
    eventually(lambda: len(calls) > 0, "the next change noticed")
    assert len(calls) == 1


def test_a_reload_that_fails_does_not_end_the_watch(
    tmp_path: Path, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[RuleSet] = []

    def changed() -> None:
        calls.append(RuleSet())
        raise RuntimeError("once")

    watch(changed)
    (tmp_path / "a.yml").write_text("one")
    eventually(lambda: len(calls) == 1, "the first change noticed")
    (tmp_path / "a.yml").write_text("two")
    eventually(lambda: len(calls) == 2, "the second change noticed")


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A directory with a.yml in it."""
    return make_rules(tmp_path / "rules", "a.yml")


def make_rules(directory: Path, name: str) -> Path:
    directory.mkdir()
    (directory / name).write_text("one")
    return directory


def watch_names(watch: Watch, directory: Path) -> list[list[str]]:
    """Returns the list of what the directory has at each change: it grows."""
    seen: list[list[str]] = []
    watch(lambda: seen.append(sorted(p.name for p in directory.rglob("*.yml"))), directory)
    eventually(lambda: len(seen) == 1, "the directory watched")
    return seen


def test_a_directory_that_takes_the_place_of_the_watched_one_is_watched(
    rules: Path, watch: Watch
) -> None:
    seen = watch_names(watch, rules)
    new = make_rules(rules.with_name("rules.new"), "b.yml")

    rules.rename(rules.with_name("rules.old"))
    new.rename(rules)

    eventually(lambda: seen[-1] == ["b.yml"], "the new directory noticed")
    (rules / "c.yml").write_text("one")
    eventually(lambda: seen[-1] == ["b.yml", "c.yml"], "a change in the new directory noticed")


def test_a_directory_that_was_removed_and_made_again_is_watched(rules: Path, watch: Watch) -> None:
    seen = watch_names(watch, rules)

    shutil.rmtree(rules)
    make_rules(rules, "b.yml")
    eventually(lambda: seen[-1] == ["b.yml"], "the new directory noticed")
    shutil.rmtree(rules)
    eventually(lambda: seen[-1] == [], "the removal noticed")
    make_rules(rules, "c.yml")
    eventually(lambda: seen[-1] == ["c.yml"], "the newest directory noticed")

    (rules / "d.yml").write_text("one")
    eventually(lambda: seen[-1] == ["c.yml", "d.yml"], "a change in the newest noticed")


def test_a_link_to_a_directory_is_watched_and_so_is_what_it_leads_to_later(
    rules: Path, watch: Watch
) -> None:
    link = rules.with_name("link")
    link.symlink_to(rules)
    seen = watch_names(watch, link)

    (rules / "b.yml").write_text("one")
    eventually(lambda: seen[-1] == ["a.yml", "b.yml"], "a change behind the link noticed")
    other = make_rules(rules.with_name("other"), "c.yml")
    rules.with_name("next").symlink_to(other)
    rules.with_name("next").replace(link)
    eventually(lambda: seen[-1] == ["c.yml"], "the new target noticed")
    (other / "d.yml").write_text("one")
    eventually(lambda: seen[-1] == ["c.yml", "d.yml"], "a change in the new target noticed")


@pytest.fixture
def linked(rules: Path) -> Path:
    """A directory elsewhere, without files; rules/more leads to it by way of another link."""
    target = rules.with_name("elsewhere")
    target.mkdir()
    rules.with_name("current").symlink_to(target)
    (rules / "more").symlink_to(rules.with_name("current"))
    return target


Wait = Callable[[str], None]
"""Waits until the next change was noticed, and all is calm again."""


@pytest.fixture
def wait(rules: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Wait:
    """For the changes of a watched directory."""
    monkeypatch.setattr(rulebook, "_CALM", 0.05)
    noticed: list[None] = []
    watch(lambda: noticed.append(None), rules)

    def wait(what: str) -> None:
        eventually(lambda: noticed, f"{what} noticed")
        while noticed:  # one change may be noticed twice, and that is not the next one
            noticed.clear()
            time.sleep(0.3)

    wait("the directory")
    return wait


def test_what_lies_behind_links_in_the_directory_is_watched(
    rules: Path, linked: Path, wait: Wait
) -> None:
    (linked / "b.yml").write_text("one")
    wait("a change behind the link")
    other = make_rules(rules.with_name("other"), "c.yml")
    rules.with_name("next").symlink_to(other)
    rules.with_name("next").replace(rules.with_name("current"))
    wait("the new target of a link elsewhere")
    (other / "c.yml").write_text("two")
    wait("a change in the new target")


def test_a_link_that_comes_later_is_watched(rules: Path, wait: Wait) -> None:
    other = make_rules(rules.with_name("other"), "c.yml")

    (rules / "later").symlink_to(other)
    wait("the new link")
    (other / "c.yml").write_text("two")
    wait("a change behind it")


@pytest.fixture
def without_inotify(linked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the directory polled, with links that lead back."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(rulebook, "_POLLING", 0.05)
    monkeypatch.setattr(rulebook.Observer, "schedule", refuse)
    # Followed at every turn, these would give more paths than can ever be counted.
    for name in ("x", "y", "z"):
        (linked / name).symlink_to(linked)


def test_links_are_followed_and_end_where_the_system_cannot_watch(
    linked: Path, without_inotify: None, wait: Wait
) -> None:
    (linked / "b.yml").write_text("one")
    wait("a change behind the link")


def test_watchdog_being_stopped_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    told = logging.getLogger("watchdog.observers.inotify")

    told.error("InotifyEmitter.queue_events() called when the thread is inactive")
    told.error("something else")

    assert caplog.messages == ["something else"]
