"""Rules that change while the daemon runs."""

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.builders import make_settings
from support.databases import Databases
from support.rules import counting_rule, write_rules

from fedbadges.criteria.backends import load_backends
from fedbadges.rules import loader
from fedbadges.rules.criteria import Backends
from fedbadges.rules.rule import Badge
from fedbadges.service.rulebook import RuleBook
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


def test_rules_without_mistakes_are_loaded_and_published(shelf: Shelf) -> None:
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.write("b", counting_rule("Second", "git.receive", 2))

    assert shelf.load() == ["First", "Second"]
    assert shelf.published == [["First", "Second"]]


def test_rule_file_with_a_new_mistake_keeps_its_last_good_version(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.load()
    shelf.write("a", "name: First\n")

    assert shelf.load() == ["First"]
    assert "missing key 'trigger' in a rule" in caplog.text


def test_rule_file_that_has_not_changed_is_not_read_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_TICK", -1)
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.write("b", counting_rule("Second", "git.receive", 2))
    first, _ = shelf.book.load()
    shelf.write("b", counting_rule("Third", "git.receive", 3))

    again, changed = shelf.book.load()
    assert again is first
    assert changed.badge.name == "Third"
    assert list(map(id, shelf.book.load())) == [id(again), id(changed)]


def test_changes_of_a_series_are_counted_by_its_badges(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    badges = ["- {name: First, threshold: 1}\n", "- {name: Second, threshold: 2}\n"]
    rest = counting_rule("Name", "git.receive", 1).replace("name: Name", "tags: a", 1)
    rest = re.sub(r" +condition:\n.*\n", "", rest)
    shelf.write("a", "series: All\nbadges:\n" + badges[0] + rest)
    assert shelf.load() == ["First"]

    shelf.write("a", "series: All\nbadges:\n" + "".join(badges) + rest)
    assert shelf.load() == ["First", "Second"]
    assert "count=2 new=1 changed=0 removed=0 mistakes=0" in caplog.text
    shelf.write("a", "series: [")
    assert shelf.load() == ["First", "Second"]


def test_unchanged_mistake_in_a_rule_file_is_logged_once(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.write("bad", "name: [")
    shelf.load()
    shelf.load()

    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1


def test_rule_of_a_removed_file_is_unloaded(shelf: Shelf) -> None:
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.load()
    (shelf.directory / "a.yml").unlink()

    assert shelf.load() == []


def test_rule_for_a_legacy_badge_is_not_loaded(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.answer = Unawardable(legacy=frozenset(["old-one"]))
    shelf.write("a", counting_rule("Old One", "git.receive", 1))

    assert shelf.load() == []
    assert "Legacy badge is not awarded badge=old-one" in caplog.text


def test_rule_whose_badge_tahrir_refuses_is_not_loaded_and_logged_once(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.answer = Unawardable(refused={"second": "tahrir does not want it"})
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.write("b", counting_rule("Second", "git.receive", 2))

    assert shelf.load() == shelf.load() == ["First"]
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR] == [
        f'Mistake in a rule mistake="{shelf.directory}/b.yml:1:1: tahrir does not want it"'
    ]


def test_rule_whose_badge_tahrir_no_longer_refuses_is_loaded(shelf: Shelf) -> None:
    shelf.answer = Unawardable(refused={"first": "tahrir does not want it"})
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.load()
    shelf.answer = Unawardable()

    assert shelf.load() == ["First"]


def test_rules_stay_loaded_if_their_directory_is_gone_which_is_logged_once(
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


def _link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _grow(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: _link(path, "nowhere"), "cannot be read: No such file or directory"),
        (lambda path: _link(path, "a.yml"), "cannot be read: Too many levels of symbolic links"),
        (_pipe, "cannot be read: not a regular file"),
        (_grow, "the file has more than 131072 bytes"),
    ],
    ids=["dangling link", "link to itself", "pipe", "gigabyte"],
)
def test_rule_whose_file_cannot_be_read_any_more_stays_which_is_logged_once(
    shelf: Shelf, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None], reason: str
) -> None:
    shelf.write("a", counting_rule("First", "git.receive", 1))
    shelf.write("b", counting_rule("Second", "git.receive", 1))
    shelf.load()
    spoil(shelf.directory / "a.yml")

    assert shelf.load() == shelf.load() == ["First", "Second"]
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert reason in line
