"""Who can write rules beside those who may: such rules are not loaded."""

import contextlib
import grp
import logging
import os
import pwd
import struct
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_config, make_settings
from support.databases import Databases
from support.rules import counting_rule, write_rules

from fedbadges.criteria.backends import load_backends
from fedbadges.errors import SettingsError
from fedbadges.rules.permissions import PermissionChecker, mistakes
from fedbadges.service.rulebook import RuleBook
from fedbadges.service.startup import read_start_settings
from fedbadges.tahrir.badges import Unawardable

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def problems(directory: Path, path: Path | None = None) -> list[str]:
    """Returns what is wrong, as ``path: what``."""
    found = PermissionChecker(directory).problems(path or directory)
    return [f"{problem.place.path}: {problem.text}" for problem in found]


def others_can_write(path: Path) -> str:
    return f"{path}: others can write it; chmod o-w {path}"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A directory with a file and a directory with one, which nobody else can write."""
    directory = tmp_path / "rules"
    (directory / "git").mkdir(parents=True)
    for path in (directory / "a.yml", directory / "git/b.yml"):
        path.write_text("one")
    return directory


def test_what_only_its_owner_can_write_is_trusted(rules: Path) -> None:
    assert problems(rules) == problems(rules, rules / "a.yml") == []


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o622])
def test_a_file_that_everybody_can_write_is_not(rules: Path, mode: int) -> None:
    (rules / "a.yml").chmod(mode)

    assert problems(rules, rules / "a.yml")[0].endswith(f"-w {rules}/a.yml")
    assert problems(rules, rules / "git/b.yml") == []


def test_all_that_is_open_on_the_way_is_told(rules: Path) -> None:
    for path in (rules.parent, rules, rules / "git", rules / "git/b.yml"):
        path.chmod(path.stat().st_mode | 0o002)

    assert problems(rules, rules / "git/b.yml") == [
        others_can_write(path) for path in (rules.parent, rules, rules / "git", rules / "git/b.yml")
    ]
    assert mistakes(rules) == [others_can_write(path) for path in (rules.parent, rules)]


def test_a_directory_where_all_keep_what_is_theirs_is_on_the_way_but_has_no_rules(
    rules: Path,
) -> None:
    rules.parent.chmod(0o1777)
    assert problems(rules) == []

    rules.chmod(0o1777)
    assert problems(rules) == [others_can_write(rules)]


def test_what_links_pass_and_lead_to_is_looked_at(rules: Path, tmp_path: Path) -> None:
    """more -> open/link -> elsewhere, and who can write open/ can turn that link elsewhere."""
    elsewhere, passed = tmp_path / "elsewhere", tmp_path / "open"
    elsewhere.mkdir()
    passed.mkdir()
    (elsewhere / "c.yml").write_text("one")
    (passed / "link").symlink_to("../elsewhere")
    (rules / "more").symlink_to(passed / "link")
    assert problems(rules, rules / "more/c.yml") == []

    passed.chmod(0o777)
    elsewhere.chmod(0o777)

    assert problems(rules, rules / "more/c.yml") == [
        others_can_write(passed),
        others_can_write(elsewhere),
    ]


def test_a_link_to_the_directory_that_it_lies_in_is_looked_at_as_a_rule_directory(
    tmp_path: Path,
) -> None:
    (tmp_path / "here").symlink_to(".")
    tmp_path.chmod(0o1777)

    assert problems(tmp_path / "here") == [others_can_write(tmp_path)]


def test_a_relative_path_is_looked_at_from_where_the_daemon_was_started(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules.parent.chmod(0o777)
    monkeypatch.chdir(rules)

    assert problems(Path("../rules")) == [others_can_write(rules.parent)]


@pytest.fixture
def account() -> pwd.struct_passwd:
    """Somebody who is not root, with a group of their own."""
    for found in pwd.getpwall():
        with contextlib.suppress(KeyError):
            group = grp.getgrgid(found.pw_gid)
            alone = [each.pw_gid for each in pwd.getpwall()].count(found.pw_gid) == 1
            if found.pw_uid and found.pw_name == group.gr_name and alone and not group.gr_mem:
                return found
    pytest.skip("nobody here has a group of their own")


@needs_root
def test_a_file_of_somebody_else_is_not_trusted(rules: Path, account: pwd.struct_passwd) -> None:
    os.chown(rules / "a.yml", account.pw_uid, 0)

    assert problems(rules, rules / "a.yml") == [
        f"{rules}/a.yml: its owner '{account.pw_name}' can write it; "
        f"chown --no-dereference root {rules}/a.yml"
    ]


@needs_root
def test_a_link_of_somebody_else_is_not_trusted(rules: Path, account: pwd.struct_passwd) -> None:
    (rules / "c.yml").symlink_to("a.yml")
    os.lchown(rules / "c.yml", account.pw_uid, 0)

    (problem,) = problems(rules, rules / "c.yml")
    assert problem.startswith(f"{rules}/c.yml: its owner '{account.pw_name}'")


@needs_root
def test_whose_directory_it_is_may_write_it(rules: Path, account: pwd.struct_passwd) -> None:
    for path in (rules, rules / "a.yml"):
        os.chown(path, account.pw_uid, 0)

    assert problems(rules, rules / "a.yml") == []


@needs_root
def test_who_could_put_another_directory_in_its_place_is_told(
    rules: Path, account: pwd.struct_passwd
) -> None:
    os.chown(rules.parent, account.pw_uid, 0)

    (problem,) = problems(rules)
    assert problem.startswith(f"{rules.parent}: its owner '{account.pw_name}' can write it")


@needs_root
def test_the_group_that_an_owner_has_alone_may_write(
    rules: Path, account: pwd.struct_passwd
) -> None:
    """As where umask is 002, so that whatever is cloned is so."""
    for path in (rules, rules / "a.yml"):
        os.chown(path, account.pw_uid, account.pw_gid)
        path.chmod(0o775)

    assert problems(rules, rules / "a.yml") == []


@needs_root
def test_a_group_of_others_is_told_with_everybody(rules: Path, account: pwd.struct_passwd) -> None:
    os.chown(rules / "a.yml", 0, account.pw_gid)
    (rules / "a.yml").chmod(0o666)

    assert problems(rules, rules / "a.yml") == [
        f"{rules}/a.yml: the group '{account.pw_name}' and others can write it; "
        f"chmod go-w {rules}/a.yml"
    ]


@needs_root
def test_a_group_that_nobody_knows_is_not_trusted(rules: Path) -> None:
    os.chown(rules, 0, 54_321)
    rules.chmod(0o775)

    assert problems(rules) == [f"{rules}: the group 54321 can write it; chmod g-w {rules}"]


@pytest.mark.parametrize("member", ["gr_mem", "pw_gid"])
@needs_root
def test_a_group_that_others_are_in_is_not_an_owners_own(
    rules: Path, account: pwd.struct_passwd, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    os.chown(rules, account.pw_uid, account.pw_gid)
    rules.chmod(0o775)
    if member == "gr_mem":
        group = grp.struct_group((account.pw_name, "x", account.pw_gid, ["somebody"]))
        monkeypatch.setattr(grp, "getgrgid", lambda number: group)
    else:
        other = pwd.struct_passwd(("somebody", "x", 54_321, account.pw_gid, "", "/", "/bin/sh"))
        monkeypatch.setattr(pwd, "getpwall", lambda: [account, other])

    assert problems(rules) == [
        f"{rules}: the group '{account.pw_name}' can write it; chmod g-w {rules}"
    ]


def allow(path: Path, uid: int, permissions: int) -> None:
    """Gives an account permissions by an access control list, as setfacl does."""
    entries = [(0x01, 6, -1), (0x02, permissions, uid), (0x04, 4, -1), (0x10, 6, -1), (0x20, 4, -1)]
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError:
        pytest.skip("the file system has no access control lists")


def test_an_access_control_list_that_lets_others_write_is_told(rules: Path) -> None:
    allow(rules / "a.yml", 54_321, 6)

    assert problems(rules, rules / "a.yml") == [
        f"{rules}/a.yml: the user 54321 can write it; chmod g-w {rules}/a.yml"
    ]
    (rules / "a.yml").chmod(0o644)
    assert problems(rules, rules / "a.yml") == []


def test_an_access_control_list_that_lets_others_read_is_fine(rules: Path) -> None:
    allow(rules / "a.yml", 54_321, 4)

    assert problems(rules, rules / "a.yml") == []


def test_a_name_forges_no_line(rules: Path) -> None:
    path = rules / "a\nCRITICAL all is lost.yml"
    path.write_text("one")
    path.chmod(0o666)

    (problem,) = PermissionChecker(rules).problems(path)
    assert "\n" not in str(problem)


@pytest.fixture
def book(rules: Path, tmp_path: Path) -> RuleBook:
    """The rules "First" in a.yml and "Second" in git/b.yml, loaded."""
    write_rules(rules, {"a": counting_rule("First", "git.receive", 1)})
    write_rules(rules / "git", {"b": counting_rule("Second", "git.receive", 2)})
    return make_book(rules, tmp_path)


def make_book(rules: Path, directory: Path, insecure: bool = False) -> RuleBook:
    databases = Databases("sqlite", f"sqlite:///{directory}/t.db", f"sqlite:///{directory}/d.db")
    backends = load_backends(make_settings(databases, rules))
    return RuleBook(rules, backends, lambda badges: Unawardable(), insecure=insecure)


def names(book: RuleBook) -> list[str]:
    return [rule.badge.name for rule in book.load()]


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    records = [each for each in caplog.records if each.levelno >= logging.WARNING]
    return [(each.levelno, each.getMessage()) for each in records]


def test_a_file_that_others_can_write_is_left_out_and_the_others_are_in_force(
    book: RuleBook, rules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (rules / "a.yml").chmod(0o646)

    assert names(book) == names(book) == ["Second"]
    assert logged(caplog) == [
        (
            logging.ERROR,
            f"{rules}/a.yml:1:1: others can write it; chmod o-w {rules}/a.yml",
        )
    ]
    (rules / "a.yml").chmod(0o644)
    assert names(book) == ["First", "Second"]


def test_a_directory_that_others_can_write_is_told_once_for_all_its_files(
    book: RuleBook, rules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (rules / "git/c.yml").write_text(counting_rule("Third", "git.receive", 3))
    (rules / "git").chmod(0o757)

    assert names(book) == ["First"]
    assert logged(caplog) == [
        (logging.ERROR, f"{rules}/git:1:1: others can write it; chmod o-w {rules}/git")
    ]


def test_what_others_could_write_later_stays_in_force_as_it_was(
    book: RuleBook, rules: Path
) -> None:
    assert names(book) == ["First", "Second"]
    (rules / "a.yml").write_text(counting_rule("Forged", "git.receive", 1))
    rules.chmod(0o757)
    (rules / "c.yml").write_text(counting_rule("Third", "git.receive", 3))

    assert names(book) == ["First", "Second"]


def test_with_insecure_rules_they_are_in_force_and_one_warning_says_so(
    book: RuleBook, rules: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    insecure = make_book(rules, tmp_path, insecure=True)
    assert names(insecure) == ["First", "Second"]
    assert logged(caplog) == []

    rules.chmod(0o757)
    (rules / "a.yml").chmod(0o646)

    assert names(insecure) == names(insecure) == ["First", "Second"]
    assert logged(caplog) == [
        (
            logging.WARNING,
            f"'badges.insecure_rules' is True: whoever can write {rules}, {rules}/a.yml can have "
            "the daemon run anything",
        )
    ]


def hub_config(rules: Path, insecure: bool) -> dict[str, Any]:
    """Returns all that a hub needs."""
    directory = rules.parent
    databases = Databases("sqlite", f"sqlite:///{directory}/t.db", f"sqlite:///{directory}/d.db")
    return make_config(databases, rules) | {
        "badges.insecure_rules": insecure,
        "validate_signatures": False,
        "zmq_enabled": True,
        "endpoints": {},
    }


def test_a_rule_directory_that_others_can_write_is_a_mistake_in_the_configuration(
    rules: Path,
) -> None:
    for path in (rules, rules.parent):
        path.chmod(0o757)

    with pytest.raises(SettingsError) as caught:
        read_start_settings(hub_config(rules, insecure=False))

    assert [line.partition(": ")[2] for line in caught.value.lines] == [
        f"'badges.yaml.directory' cannot be trusted: {others_can_write(path)}"
        for path in (rules.parent, rules)
    ]


def test_with_insecure_rules_it_is_none(rules: Path) -> None:
    rules.chmod(0o757)

    settings, _ = read_start_settings(hub_config(rules, insecure=True))

    assert settings.insecure_rules
