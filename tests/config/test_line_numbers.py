"""Where fedmsg's configuration files set a key."""

import errno
from pathlib import Path
from typing import NoReturn

import pytest

from fedbadges.config.line_numbers import config_files, locate_key

LITERAL = """\
config = {
    "badges.consume_delay": 3,
    "badges_global": {
        "database_uri": "x",
        "badge_issuer": {
            "issuer_name": "y",
        },
    },
}
"""

CALL = """\
config = dict(
    badges_global=dict(
        database_uri="x",
        badge_issuer=dict(issuer_name="y"),
    ),
)
config["badges.consume_delay"] = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The fedmsg.d of the working directory; there is no other but /etc/fedmsg.d."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "fedmsg.d"
    made.mkdir()
    return made


def place(key: str, within: str | None, *files: Path) -> str:
    """Returns the place without the folder."""
    path, _, rest = locate_key(key, within, list(files)).partition(":")
    return f"{Path(path).name}:{rest}"


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("key", "within", "where"),
    [
        ("badges.consume_delay", None, "2:5"),
        ("badges_global", None, "3:5"),
        ("database_uri", "badges_global", "4:9"),
        ("badge_issuer", "badges_global", "5:9"),
        ("issuer_name", "badge_issuer", "6:13"),
    ],
)
def test_a_key_in_a_dict_literal_is_located(
    folder: Path, key: str, within: str | None, where: str
) -> None:
    assert place(key, within, write(folder / "a.py", LITERAL)) == f"a.py:{where}"


@pytest.mark.parametrize(
    ("key", "within", "where"),
    [
        ("badges_global", None, "2:5"),
        ("database_uri", "badges_global", "3:9"),
        ("issuer_name", "badge_issuer", "4:27"),
        ("badges.consume_delay", None, "7:8"),
    ],
)
def test_a_key_in_a_dict_call_or_an_assignment_is_located(
    folder: Path, key: str, within: str | None, where: str
) -> None:
    assert place(key, within, write(folder / "a.py", CALL)) == f"a.py:{where}"


def test_a_key_is_located_in_the_file_that_fedmsg_reads_last(folder: Path) -> None:
    first = write(folder / "a.py", LITERAL)
    second = write(folder / "b.py", 'config = {"badges.consume_delay": 9}\n')

    assert place("badges.consume_delay", None, first, second) == "b.py:1:11"
    assert place("database_uri", "badges_global", first, second) == "a.py:4:9"


def test_a_nested_key_is_located_in_mappings_merged_from_several_files(folder: Path) -> None:
    first = write(folder / "a.py", LITERAL)
    second = write(folder / "b.py", 'config = {\n    "badges_global": {"database_uri": 1},\n}\n')

    assert place("database_uri", "badges_global", first, second) == "b.py:2:23"
    assert place("badge_issuer", "badges_global", first, second) == "a.py:5:9"
    assert place("database_url", "badges_global", first, second) == "b.py:2:5"


def test_the_last_assignment_of_a_key_in_a_file_is_located(folder: Path) -> None:
    file = write(folder / "a.py", 'config = {"x": 1}\nconfig["x"] = 2\n')

    assert place("x", None, file) == "a.py:2:8"


def test_a_missing_nested_key_is_located_at_its_mapping(folder: Path) -> None:
    assert place("database_url", "badges_global", write(folder / "a.py", LITERAL)) == "a.py:3:5"


def test_a_missing_key_is_located_in_the_directory_of_the_last_file(folder: Path) -> None:
    file = write(folder / "a.py", LITERAL)

    assert locate_key("badges.delay_limit", None, [file]) == str(folder)
    assert locate_key("badges.delay_limit", None, []) == "/etc/fedmsg.d"


@pytest.mark.parametrize("content", [b"config = {", b"\xff\xfe", b"x = '\x00'"])
def test_configuration_files_that_cannot_be_parsed_are_skipped(
    folder: Path, content: bytes
) -> None:
    (folder / "b.py").write_bytes(content)
    good = write(folder / "a.py", LITERAL)

    assert place("badges_global", None, good, folder / "b.py", folder / "gone.py") == "a.py:3:5"


def test_configuration_files_are_listed_in_the_order_in_which_fedmsg_reads_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder.parent / "home" / ".fedmsg.d"
    home.mkdir(parents=True)
    environment = folder.parent / "venv" / "etc" / "fedmsg.d"
    environment.mkdir(parents=True)
    monkeypatch.setenv("VIRTUAL_ENV", str(folder.parent / "venv"))
    files = [home / "z.py", folder / "a.py", folder / "b.py", environment / "a.py"]
    files.append(folder.parent / "fedmsg-config.py")
    for file in files:
        file.write_text("config = {}\n")
    (folder / "c.txt").write_text("")

    assert [path for path in config_files({}) if not path.is_relative_to("/etc")] == files


def test_configuration_directories_that_may_not_be_read_are_skipped_as_by_fedmsg(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "a.py", LITERAL)

    def refuse(path: Path, **options: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    for method in ("iterdir", "stat"):
        monkeypatch.setattr(Path, method, refuse)

    assert config_files({}) == []


def test_config_filename_is_the_only_configuration_file(folder: Path) -> None:
    write(folder / "a.py", LITERAL)

    assert config_files({"config_filename": "/x/y.py"}) == [Path("/x/y.py")]
