"""Trees of text: in a pipe, on a terminal, and in ASCII."""

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Mapping

SCRIPT = r"""
from fedbadges.cli.terminal import make_tree, print_lines
odd = make_tree("[red]b[/red] \x1b[31m\n", [make_tree("é")], "green")
print_lines(make_tree("a", [odd, make_tree("c")]))
"""


def run(encoding: str) -> bytes:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, env=environment, capture_output=True, check=True).stdout


def run_on_terminal(**variables: str) -> str:
    """Return what somebody sees."""
    ours, theirs = pty.openpty()
    environment: Mapping[str, str] = os.environ | {"TERM": "xterm", "COLUMNS": "80"} | variables
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while part := os.read(ours, 1000):
                shown += part
        assert process.wait() == 0
    os.close(ours)
    return shown.decode()


def test_tree_is_plain_in_a_pipe() -> None:
    assert run("utf-8").decode() == (
        "a\n"
        "├── [red]b[/red] \\x1b[31m\\n\n"
        "│   └── é\n"
        "└── c\n"
    )  # fmt: skip


def test_tree_in_ascii_has_escapes() -> None:
    assert run("ascii:backslashreplace").decode() == (
        "a\n"
        "+-- [red]b[/red] \\x1b[31m\\n\n"
        "|   `-- \\xe9\n"
        "`-- c\n"
    )  # fmt: skip


def test_tree_on_a_terminal_has_colours_of_its_own_only() -> None:
    shown = run_on_terminal()

    assert "[red]b[/red] \\x1b[31m\\n" in shown
    assert "\x1b[32m" in shown
    assert "\x1b[31m" not in shown
