"""The manual pages in ``man``, which are made from the documentation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.documented import ROOT

pytest.importorskip("sphinx")


def words_of(page: Path) -> list[str]:
    """Return what a reader sees, roughly: each docutils has requests of its own for the layout."""
    text = page.read_text().partition(".TH ")[2]
    text = re.sub(r"^\.(?!SH|B ).*", "", text, flags=re.MULTILINE)
    return re.findall(r"\w+", re.sub(r"\\f.|\\", "", text))


def test_the_manual_pages_say_what_the_commands_do(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "man", "-d", tmp_path / "doctrees"]
    subprocess.run([*command, ROOT / "docs", tmp_path / "man"], check=True)

    written = {page.name: words_of(page) for page in (ROOT / "man").iterdir()}
    made = {page.name: words_of(page) for page in (tmp_path / "man").iterdir()}
    assert written == made, "run make man"


def test_the_options_of_fedmsg_badges_are_the_ones_in_its_manual_page() -> None:
    page = (ROOT / "docs" / "commands" / "fedmsg-badges.rst").read_text()
    command = Path(sys.executable).with_name("fedmsg-badges")
    help_text = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    described = re.findall(r"^``(--?[a-z-]+)", page, re.MULTILINE)
    assert len(described) == 5
    assert [option for option in described if option not in help_text.stdout] == []
