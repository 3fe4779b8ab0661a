"""The pictures that the documentation shows."""

import importlib.util
import re
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.chromium import CHROMIUM, chromium
from support.documented import ROOT
from support.for_authors import deployment_of_authors

PICTURES = ROOT / "docs/pictures"
LARGEST = 150_000


def load_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pictures", PICTURES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


MAKER = load_maker()


def test_pictures_of_commands_show_what_they_print_today(tmp_path: Path) -> None:
    made = MAKER.svgs(deployment_of_authors(tmp_path / "authors"))
    assert set(made) == {picture.name for picture in PICTURES.glob("*.svg")}
    for name, svg in made.items():
        stored = (PICTURES / name).read_text(encoding="utf-8")
        assert MAKER.text_of(stored) == MAKER.text_of(svg), "run docs/pictures/make.py"
        assert "fedbadges" in svg


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_picture_of_a_preview_is_as_large_as_its_plots_today(tmp_path: Path) -> None:
    directory = deployment_of_authors(tmp_path / "authors")
    MAKER.mend(directory / "rules/scribe.yml")
    page = MAKER.preview_page(directory)
    with chromium(tmp_path / "profile") as browser:
        for scheme in MAKER.THEMES:
            MAKER.photograph(browser, page, scheme, tmp_path / "made.png")
            width, height = size_of(tmp_path / "made.png")
            # The fonts installed make a difference of some lines.
            assert size_of(PICTURES / f"preview-{scheme}.png") == (
                width,
                pytest.approx(height, rel=0.08),
            )


def size_of(picture: Path) -> tuple[int, int]:
    """Return width and height, which stand behind the signature of a PNG file."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


def test_pictures_are_small_and_load_nothing_else() -> None:
    for picture in PICTURES.glob("*.*g"):
        assert picture.stat().st_size < LARGEST, picture.name
    for picture in PICTURES.glob("*.svg"):
        assert not re.search(r"url\((?!#)|href=", picture.read_text()), picture.name


def test_each_picture_is_shown_and_described() -> None:
    shown = {}
    for page in (ROOT / "docs").glob("*.rst"):
        found = re.findall(
            r"(?:figure|image):: pictures/(\S+)\n((?:   :.*\n)*)", page.read_text(encoding="utf-8")
        )
        shown.update(found)
    pictures = {picture.name for picture in PICTURES.glob("*.*g")}
    assert set(shown) == pictures
    for name, options in shown.items():
        assert ":alt: " in options, name
        scheme = re.search(r"-(light|dark)\.", name)
        assert scheme is None or f":class: only-{scheme[1]}\n" in options, name
