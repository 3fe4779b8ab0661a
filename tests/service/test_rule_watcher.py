"""Rule files that change while the daemon runs."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.waiting import eventually

from fedbadges.service.rule_watcher import RuleWatcher
from fedbadges.util import file_changes

Watch = Callable[..., None]
"""Begins to watch, for the length of a test: calls a function, of a directory's changes."""


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watchers = []

    def start(changed: Callable[[], object], directory: Path = tmp_path) -> None:
        watcher = RuleWatcher(directory, lambda: changed() and None, interval=0.05)
        watcher.start()
        watchers.append(watcher)

    yield start
    for watcher in watchers:
        watcher.stop()


def test_added_changed_moved_and_removed_rule_files_are_reloaded(
    tmp_path: Path, watch: Watch
) -> None:
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


def test_reading_rule_files_causes_no_reload(tmp_path: Path, watch: Watch) -> None:
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


def test_rule_directory_is_watched_after_a_reload_that_failed(
    tmp_path: Path, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[None] = []

    def changed() -> None:
        calls.append(None)
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


def test_rule_directory_that_replaces_the_watched_one_is_watched(rules: Path, watch: Watch) -> None:
    seen = watch_names(watch, rules)
    new = make_rules(rules.with_name("rules.new"), "b.yml")

    rules.rename(rules.with_name("rules.old"))
    new.rename(rules)

    eventually(lambda: seen[-1] == ["b.yml"], "the new directory noticed")
    (rules / "c.yml").write_text("one")
    eventually(lambda: seen[-1] == ["b.yml", "c.yml"], "a change in the new directory noticed")


def test_rule_directory_that_was_removed_and_created_again_is_watched(
    rules: Path, watch: Watch
) -> None:
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


def test_link_as_rule_directory_is_watched_with_its_present_and_later_targets(
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
    monkeypatch.setattr(file_changes, "CALM", 0.05)
    noticed: list[None] = []
    watch(lambda: noticed.append(None), rules)

    def wait(what: str) -> None:
        eventually(lambda: noticed, f"{what} noticed")
        while noticed:  # one change may be noticed twice, and that is not the next one
            noticed.clear()
            time.sleep(0.3)

    wait("the directory")
    return wait


def test_targets_of_links_in_the_rule_directory_are_watched(
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


def test_link_added_to_the_rule_directory_is_watched(rules: Path, wait: Wait) -> None:
    other = make_rules(rules.with_name("other"), "c.yml")

    (rules / "later").symlink_to(other)
    wait("the new link")
    (other / "c.yml").write_text("two")
    wait("a change behind it")


def test_links_in_a_circle_do_not_hang_the_watcher(rules: Path, linked: Path, wait: Wait) -> None:
    # Followed at every turn, these would give more paths than can ever be counted.
    for name in ("x", "y", "z"):
        (linked / name).symlink_to(linked)
    wait("the links")

    (linked / "b.yml").write_text("one")
    wait("a change behind the link")


def test_changed_permissions_of_rule_files_cause_a_reload(rules: Path, wait: Wait) -> None:
    (rules / "a.yml").chmod(0o666)
    wait("the file that others can write now")
    rules.chmod(0o777)
    wait("the directory that others can write now")
