"""Loading: a directory of rule files to the rules in them and every mistake."""

import errno
import os
import socket
import time
from pathlib import Path

import pytest
from support.rule_text import PARSING, complete

from fedbadges.errors import RuleError
from fedbadges.rules import loader
from fedbadges.rules.loader import Loaded, RuleFiles, load_directory, load_file
from fedbadges.rules.rule import Rule
from fedbadges.rules.yaml_document import MAX_BYTES


def write(path: Path, name: str | None = None) -> Path:
    """Writes a good rule, whose badge is named after the file unless it is said otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(complete(f"name: {name or path.stem}\n"))
    return path


def loaded_ids(directory: Path) -> list[str]:
    loaded = load_directory(directory, PARSING)
    assert loaded.problems == ()
    return [rule.badge.id for rule in loaded.rules]


def in_force(directory: Path) -> dict[str, list[Rule]]:
    return {rule.place.path: [rule] for rule in load_directory(directory, PARSING).rules}


def write_series(path: Path, *names: str) -> Path:
    badges = "".join(
        f"- {{name: {name}, threshold: {number}}}\n" for number, name in enumerate(names)
    )
    others = complete("criteria: {filter: {users: [a]}, operation: count}\n").splitlines()
    rest = [line for line in others if not line.startswith("name:")]
    path.write_text(f"series: All\nbadges:\n{badges}" + "\n".join(rest))
    return path


def lines(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def test_every_yml_and_yaml_file_anywhere_below_is_a_rule(tmp_path):
    for name in ("b.yml", "a.yaml", "git/d.yml", "git/deep/er/c.yml", "x.yml/e.yml"):
        write(tmp_path / name)
    assert loaded_ids(tmp_path) == ["a", "b", "d", "c", "e"]


def test_other_and_hidden_files_are_no_rules(tmp_path):
    for name in (
        "README.rst",
        "a.yml~",
        "a.yml.swp",
        "a.YML",
        "yml",
        ".hidden.yml",
        ".yml",
        ".git/a.yml",
        "sub/.hidden/a.yml",
        ".#a.yml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("no rule")
    assert loaded_ids(tmp_path) == []


def test_a_link_to_a_file_is_a_rule(tmp_path):
    target = write(tmp_path / "elsewhere" / "a")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "link.yml").symlink_to(target)
    assert loaded_ids(tmp_path / "rules") == ["a"]


def test_a_link_to_a_directory_is_followed(tmp_path):
    write(tmp_path / "elsewhere" / "deep" / "a.yml")
    (tmp_path / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "link").symlink_to(tmp_path / "other")
    (loaded,) = load_directory(tmp_path / "rules", PARSING).rules
    assert loaded.place.path == f"{tmp_path}/rules/link/deep/a.yml"


def test_a_file_that_several_paths_lead_to_is_read_once(tmp_path):
    write(tmp_path / "rules" / "b" / "one.yml")
    (tmp_path / "rules" / "a").symlink_to("b")
    (tmp_path / "rules" / "b" / "back").symlink_to(tmp_path / "rules")
    (tmp_path / "rules" / "b" / "far-back").symlink_to(tmp_path)
    loaded = load_directory(tmp_path / "rules", PARSING)
    assert [rule.place.path for rule in loaded.rules] == [f"{tmp_path}/rules/a/one.yml"]
    assert lines(loaded) == []


def test_a_link_that_leads_nowhere_keeps_the_rules_behind_it_in_force(tmp_path):
    write(tmp_path / "elsewhere" / "a.yml")
    link = tmp_path / "rules" / "link"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    known = in_force(tmp_path / "rules")
    (tmp_path / "elsewhere").rename(tmp_path / "gone")
    (tmp_path / "rules" / ".#lock").symlink_to("nowhere")
    loaded = load_directory(tmp_path / "rules", PARSING, known)
    assert [rule.badge.id for rule in loaded.rules] == ["a"]
    assert lines(loaded) == [f"{link}:1:1: cannot be read: No such file or directory"]


def test_a_file_with_mistakes_does_not_keep_others_from_loading(tmp_path):
    write(tmp_path / "a.yml")
    (tmp_path / "b.yml").write_text("- no rule\n")
    (tmp_path / "c.yml").write_text(complete("nme: 1\ntags: 7\n"))
    write(tmp_path / "d.yml")
    loaded = load_directory(tmp_path, PARSING)
    assert [rule.badge.id for rule in loaded.rules] == ["a", "d"]
    assert lines(loaded) == [
        f"{tmp_path}/b.yml:1:1: a rule is a mapping, and this is a list",
        f"{tmp_path}/c.yml:1:1: unknown key 'nme' in a rule; did you mean 'name'?",
        f"{tmp_path}/c.yml:2:7: 'tags' is a list, or words split by commas",
    ]


def test_of_two_files_with_one_badge_the_second_is_reported(tmp_path):
    write(tmp_path / "a.yml", "Same Badge")
    write(tmp_path / "b.yml", "'same (badge)'")
    loaded = load_directory(tmp_path, PARSING)
    assert [rule.place.path for rule in loaded.rules] == [f"{tmp_path}/a.yml"]
    assert lines(loaded) == [
        f"{tmp_path}/b.yml:1:1: the badge 'same-badge' has a rule already, at {tmp_path}/a.yml:1:1"
    ]


def test_a_badge_in_force_stays_with_its_file_if_another_file_has_it(tmp_path):
    write(tmp_path / "b.yml", "Same Badge")
    known = in_force(tmp_path)
    write(tmp_path / "a.yml", "Same Badge")
    loaded = load_directory(tmp_path, PARSING, known)
    assert [rule.place.path for rule in loaded.rules] == [f"{tmp_path}/b.yml"]
    assert lines(loaded) == [
        f"{tmp_path}/a.yml:1:1: the badge 'same-badge' has a rule already, at {tmp_path}/b.yml:1:1"
    ]


def test_a_series_with_a_mistake_keeps_all_its_badges_in_force(tmp_path: Path) -> None:
    path = write_series(tmp_path / "a.yml", "One", "Two", "Three")
    known = {str(path): list(load_directory(tmp_path, PARSING).rules)}
    write(tmp_path / "b.yml", "Two")
    path.write_text("series: [")

    loaded = load_directory(tmp_path, PARSING, known)

    places = {rule.badge.id: rule.place.path for rule in loaded.rules}
    assert places == dict.fromkeys(["one", "two", "three"], str(path))
    assert f"{tmp_path}/b.yml:1:1: the badge 'two' has a rule already, at {path}:4:3" in lines(
        loaded
    )


def test_badge_that_another_file_has_is_left_out_of_a_series(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", "Two")
    path = write_series(tmp_path / "b.yml", "One", "Two", "Three")

    loaded = load_directory(tmp_path, PARSING)

    assert [rule.badge.id for rule in loaded.rules] == ["two", "one", "three"]
    assert lines(loaded) == [
        f"{path}:4:3: the badge 'two' has a rule already, at {tmp_path}/a.yml:1:1"
    ]


def test_a_badge_may_move_to_another_file(tmp_path):
    write(tmp_path / "b.yml", "One")
    write(tmp_path / "c.yml", "Two")
    known = in_force(tmp_path)
    write(tmp_path / "a.yml", "One")
    write(tmp_path / "b.yml", "Three")
    (tmp_path / "c.yml").rename(tmp_path / "0.yml")
    loaded = load_directory(tmp_path, PARSING, known)
    assert [rule.badge.id for rule in loaded.rules] == ["two", "one", "three"]
    assert lines(loaded) == []


@pytest.mark.parametrize(
    ("folder", "left"), [("", ["a", "b"]), ("sub", ["a", "c", "b"])], ids=["all", "below"]
)
def test_a_directory_that_cannot_be_read_keeps_its_rules_in_force(
    tmp_path, monkeypatch, folder, left
):
    write(tmp_path / "a.yml")
    write(tmp_path / "sub" / "b.yml")
    known = in_force(tmp_path)
    write(tmp_path / "subsequent" / "c.yml")
    refused, scandir = os.path.normpath(tmp_path / folder), os.scandir

    def scan(path):
        if os.fspath(path) == refused:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    loaded = load_directory(tmp_path, PARSING, known)
    assert [rule.badge.id for rule in loaded.rules] == left
    assert lines(loaded) == [f"{refused}:1:1: cannot be read: Permission denied"]


def test_an_unreadable_path_is_reported(tmp_path):
    (tmp_path / "dangling.yml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.yml").symlink_to(tmp_path / "loop.yml")
    os.mkfifo(tmp_path / "pipe.yml")
    (tmp_path / "device.yml").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket.yml"))
    write(tmp_path / "good.yml")
    loaded = load_directory(tmp_path, PARSING)
    assert [rule.badge.id for rule in loaded.rules] == ["good"]
    assert lines(loaded) == [
        f"{tmp_path}/dangling.yml:1:1: cannot be read: No such file or directory",
        f"{tmp_path}/device.yml:1:1: cannot be read: not a regular file",
        f"{tmp_path}/loop.yml:1:1: cannot be read: Too many levels of symbolic links",
        f"{tmp_path}/pipe.yml:1:1: cannot be read: not a regular file",
        f"{tmp_path}/socket.yml:1:1: cannot be read: not a regular file",
    ]


def test_a_huge_file_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "huge.yml").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RuleError, match=f"1:1: the file has more than {MAX_BYTES} bytes"):
        load_file(tmp_path / "huge.yml", PARSING)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_reported(tmp_path):
    write(tmp_path / "a.yml").chmod(0)
    write(tmp_path / "sub" / "b.yml").parent.chmod(0)
    try:
        assert lines(load_directory(tmp_path, PARSING)) == [
            f"{tmp_path}/a.yml:1:1: cannot be read: Permission denied",
            f"{tmp_path}/sub:1:1: cannot be read: Permission denied",
        ]
    finally:
        (tmp_path / "sub").chmod(0o700)


def test_a_directory_that_does_not_exist_is_reported(tmp_path):
    loaded = load_directory(tmp_path / "none", PARSING)
    assert len(loaded.rules) == 0
    assert lines(loaded) == [f"{tmp_path}/none:1:1: cannot be read: No such file or directory"]


def test_the_rules_of_the_repository_have_no_mistakes():
    rules = Path(__file__).parents[2] / "rules"
    assert len(loaded_ids(rules)) >= 12


def load_again(directory: Path, before: RuleFiles | None = None) -> tuple[Loaded, RuleFiles]:
    files = RuleFiles(before)
    return load_directory(directory, PARSING, load=files.load), files


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time pass between a change of a file and the next load."""
    monkeypatch.setattr(loader, "_TICK", -1)


@pytest.mark.usefixtures("settled")
def test_file_that_has_not_changed_is_not_parsed_again(tmp_path: Path) -> None:
    write(tmp_path / "a.yml")
    changed = write(tmp_path / "b.yml")
    (tmp_path / "bad.yml").write_text("name: [")
    before, files = load_again(tmp_path)

    changed.write_text(complete("name: c\n"))
    after, files = load_again(tmp_path, files)

    assert [rule.badge.id for rule in after.rules] == ["a", "c"]
    assert next(iter(after.rules)) is next(iter(before.rules))
    assert after.problems == before.problems != ()
    again, _ = load_again(tmp_path, files)
    assert all(now is then for now, then in zip(again.rules, after.rules, strict=True))


@pytest.mark.parametrize("keeps_its_time", [False, True])
def test_change_within_the_tick_of_a_clock_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps_its_time: bool
) -> None:
    path = write(tmp_path / "a.yml")
    now = time.time_ns()
    identity = 1, 1, 1, 1 if keeps_its_time else now, now
    monkeypatch.setattr(loader, "file_identity", lambda path: identity)
    _, files = load_again(tmp_path)

    path.write_text(complete("name: b\n"))
    loaded, _ = load_again(tmp_path, files)

    assert [rule.badge.id for rule in loaded.rules] == ["b"]


@pytest.mark.usefixtures("settled")
def test_file_that_could_not_be_read_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.yml")

    def fail(path: Path, limit: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(loader, "read_limited", fail)
        failed, files = load_again(tmp_path)
    assert lines(failed)

    loaded, _ = load_again(tmp_path, files)

    assert loaded.problems == ()
