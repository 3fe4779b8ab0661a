"""File permissions: rules that untrusted accounts can write are not loaded."""

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
from fedbadges.rules.file_permissions import PermissionChecker, mistakes
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


def test_files_that_only_their_owner_can_write_are_trusted(rules: Path) -> None:
    assert problems(rules) == problems(rules, rules / "a.yml") == []


@pytest.mark.parametrize("mode", [0o666, 0o602, 0o622])
def test_a_file_that_group_or_others_can_write_is_untrusted(rules: Path, mode: int) -> None:
    (rules / "a.yml").chmod(mode)

    assert problems(rules, rules / "a.yml")[0].endswith(f"-w {rules}/a.yml")
    assert problems(rules, rules / "git/b.yml") == []


def test_every_writable_directory_above_a_rule_file_is_reported(rules: Path) -> None:
    for path in (rules.parent, rules, rules / "git", rules / "git/b.yml"):
        path.chmod(path.stat().st_mode | 0o002)

    assert problems(rules, rules / "git/b.yml") == [
        others_can_write(path) for path in (rules.parent, rules, rules / "git", rules / "git/b.yml")
    ]
    assert mistakes(rules) == [others_can_write(path) for path in (rules.parent, rules)]


def test_a_sticky_directory_may_be_above_the_rule_directory_but_not_be_it(
    rules: Path,
) -> None:
    rules.parent.chmod(0o1777)
    assert problems(rules) == []

    rules.chmod(0o1777)
    assert problems(rules) == [others_can_write(rules)]


def test_directories_that_a_symbolic_link_passes_are_checked(rules: Path, tmp_path: Path) -> None:
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


def test_a_link_to_its_own_directory_is_checked_as_a_rule_directory(
    tmp_path: Path,
) -> None:
    (tmp_path / "here").symlink_to(".")
    tmp_path.chmod(0o1777)

    assert problems(tmp_path / "here") == [others_can_write(tmp_path)]


def test_a_relative_path_is_resolved_against_the_working_directory(
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
def test_a_file_of_an_untrusted_owner_is_untrusted(rules: Path, account: pwd.struct_passwd) -> None:
    os.chown(rules / "a.yml", account.pw_uid, 0)

    assert problems(rules, rules / "a.yml") == [
        f"{rules}/a.yml: its owner '{account.pw_name}' can write it; "
        f"chown --no-dereference root {rules}/a.yml"
    ]


@needs_root
def test_a_link_of_an_untrusted_owner_is_untrusted(rules: Path, account: pwd.struct_passwd) -> None:
    (rules / "c.yml").symlink_to("a.yml")
    os.lchown(rules / "c.yml", account.pw_uid, 0)

    (problem,) = problems(rules, rules / "c.yml")
    assert problem.startswith(f"{rules}/c.yml: its owner '{account.pw_name}'")


@needs_root
def test_the_owner_of_the_rule_directory_is_trusted(
    rules: Path, account: pwd.struct_passwd
) -> None:
    for path in (rules, rules / "a.yml"):
        os.chown(path, account.pw_uid, 0)

    assert problems(rules, rules / "a.yml") == []


@needs_root
def test_an_untrusted_owner_of_a_directory_above_the_rules_is_reported(
    rules: Path, account: pwd.struct_passwd
) -> None:
    os.chown(rules.parent, account.pw_uid, 0)

    (problem,) = problems(rules)
    assert problem.startswith(f"{rules.parent}: its owner '{account.pw_name}' can write it")


@needs_root
def test_the_private_group_of_the_owner_is_trusted(rules: Path, account: pwd.struct_passwd) -> None:
    """As where umask is 002, so that whatever is cloned is so."""
    for path in (rules, rules / "a.yml"):
        os.chown(path, account.pw_uid, account.pw_gid)
        path.chmod(0o775)

    assert problems(rules, rules / "a.yml") == []


@needs_root
def test_group_and_others_are_reported_in_one_problem(
    rules: Path, account: pwd.struct_passwd
) -> None:
    os.chown(rules / "a.yml", 0, account.pw_gid)
    (rules / "a.yml").chmod(0o666)

    assert problems(rules, rules / "a.yml") == [
        f"{rules}/a.yml: the group '{account.pw_name}' and others can write it; "
        f"chmod go-w {rules}/a.yml"
    ]


@needs_root
def test_a_group_without_a_name_is_untrusted(rules: Path) -> None:
    os.chown(rules, 0, 54_321)
    rules.chmod(0o775)

    assert problems(rules) == [f"{rules}: the group 54321 can write it; chmod g-w {rules}"]


@pytest.mark.parametrize("member", ["gr_mem", "pw_gid"])
@needs_root
def test_a_private_group_with_other_members_is_untrusted(
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


def set_acl(path: Path, uid: int, permissions: int) -> None:
    """Grants permissions to a user by an access control list, as setfacl does."""
    mask = permissions | 4
    entries = [
        (0x01, 6, -1),
        (0x02, permissions, uid),
        (0x04, 4, -1),
        (0x10, mask, -1),
        (0x20, 4, -1),
    ]
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError:
        pytest.skip("the file system has no access control lists")


def test_a_file_is_untrusted_if_its_access_control_list_grants_write(rules: Path) -> None:
    set_acl(rules / "a.yml", 54_321, 6)

    assert problems(rules, rules / "a.yml") == [
        f"{rules}/a.yml: accounts that its access control list names can write it; "
        f"chmod g-w {rules}/a.yml"
    ]
    (rules / "a.yml").chmod(0o644)
    assert problems(rules, rules / "a.yml") == []


def test_a_file_is_trusted_if_its_access_control_list_grants_only_read(rules: Path) -> None:
    set_acl(rules / "a.yml", 54_321, 4)

    assert problems(rules, rules / "a.yml") == []


def test_a_file_name_with_a_line_break_is_reported_on_one_line(rules: Path) -> None:
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


def test_only_the_rule_file_that_others_can_write_is_not_loaded(
    book: RuleBook, rules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (rules / "a.yml").chmod(0o646)

    assert names(book) == names(book) == ["Second"]
    assert logged(caplog) == [
        (
            logging.ERROR,
            f'Mistake in a rule mistake="{rules}/a.yml:1:1: others can write it; '
            f'chmod o-w {rules}/a.yml"',
        )
    ]
    (rules / "a.yml").chmod(0o644)
    assert names(book) == ["First", "Second"]


def test_a_writable_directory_is_reported_once_for_all_its_rule_files(
    book: RuleBook, rules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (rules / "git/c.yml").write_text(counting_rule("Third", "git.receive", 3))
    (rules / "git").chmod(0o757)

    assert names(book) == ["First"]
    assert logged(caplog) == [
        (
            logging.ERROR,
            f'Mistake in a rule mistake="{rules}/git:1:1: others can write it; '
            f'chmod o-w {rules}/git"',
        )
    ]


def test_rules_that_become_writable_later_keep_their_last_good_version(
    book: RuleBook, rules: Path
) -> None:
    assert names(book) == ["First", "Second"]
    (rules / "a.yml").write_text(counting_rule("Forged", "git.receive", 1))
    rules.chmod(0o757)
    (rules / "c.yml").write_text(counting_rule("Third", "git.receive", 3))

    assert names(book) == ["First", "Second"]


def test_insecure_rules_loads_writable_rules_with_one_warning(
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
            f"Insecure rules are loaded count=2 paths={rules},{rules}/a.yml",
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


def test_a_writable_rule_directory_is_a_configuration_mistake(
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


def test_insecure_rules_allows_a_writable_rule_directory(rules: Path) -> None:
    rules.chmod(0o757)

    settings, _ = read_start_settings(hub_config(rules, insecure=True))

    assert settings.insecure_rules
