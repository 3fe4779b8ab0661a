"""The documentation as a site."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urldefrag

import pytest
from support.chromium import CHROMIUM, chromium
from support.documented import ROOT

from fedbadges.cli.main import main
from fedbadges.config.settings import ISSUER_KEYS, KEYS
from fedbadges.rules import criteria

pytest.importorskip("sphinx")
pytest.importorskip("furo")


# What has to be scrolled to be read, but for code.
SCROLLED = """
[...document.querySelectorAll("article .table-wrapper")]
  .filter(each => each.scrollWidth > each.clientWidth)
  .map(each => each.textContent.trim().slice(0, 60))
"""
# What reaches beyond the screen, but for what can be scrolled.
TOO_WIDE = """
[...document.querySelectorAll("article *")].filter(each => {
  for (let outer = each; outer.tagName !== "ARTICLE"; outer = outer.parentElement)
    if (getComputedStyle(outer).overflowX === "auto") return false;
  return each.getBoundingClientRect().right > innerWidth;
}).map(each => `${each.tagName} ${each.textContent.slice(0, 60)}`)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a page that is in no table of contents is a warning, too."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", folder / "doctrees", ROOT / "docs", folder / "html"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {page: page.read_text() for page in site.glob("**/*.html")}
    broken = [
        (page.name, link)
        for page, text in pages.items()
        for link in re.findall(r'(?:href|src)="([^"]+)"', text)
        if not re.match(r"[a-z]+:", link) and not leads_somewhere(page, link, pages)
    ]
    assert broken == []


def test_links_between_files_lead_to_pages_of_the_site(site: Path) -> None:
    assert 'href="rules.html"><span class="doc">' in (site / "readme.html").read_text()
    for page in site.glob("*.html"):
        assert not re.search(r'href="(?![a-z]+:)[^"]*\.rst"', page.read_text()), page.name


def test_no_page_repeats_the_contents_that_stand_beside_it(site: Path) -> None:
    """The theme shows an error in their place."""
    pages = [page.name for page in site.glob("**/*.html") if 'class="contents' in page.read_text()]
    assert pages == []


def test_every_command_has_a_page_with_all_its_options(site: Path) -> None:
    pages = {page.stem: page.read_text() for page in (site / "commands").glob("*.html")}
    commands = {f"fedbadges-{name}": command for name, command in main.commands.items()}
    assert set(pages) == {"fedmsg-badges", "fedbadges", *commands}
    for name, command in commands.items():
        assert f"{name.replace('-', ' ')} [OPTIONS]" in pages[name]
        options = [option for each in command.params for option in each.opts if option[0] == "-"]
        assert [option for option in options if option not in pages[name]] == []


def test_every_setting_is_listed_with_what_it_is_for(site: Path) -> None:
    page = (site / "settings.html").read_text()
    entries = dict(re.findall(r'<span class="pre">([\w.]+)</span>.*?</dt><dd><p>(.*?)</p>', page))
    keys = {key.name for key in (*KEYS.values(), *ISSUER_KEYS.values())}
    assert set(entries) == keys
    assert [key for key, text in entries.items() if text.startswith("Expected")] == []
    assert "``" not in page


def test_every_key_of_a_rule_is_listed_with_its_meaning(site: Path) -> None:
    page = (site / "rule-keys.html").read_text()
    listed = re.findall(r"<dt><code.*?>(.*?)</code></dt><dd><p>(.*?)</p>", page)
    names = [re.sub("<.*?>", "", name) for name, meaning in listed if meaning]
    for name in (
        "name",
        "series",
        "badges",
        "threshold",
        "topic",
        "filter",
        "greater than",
        "group",
        "exists",
        "not",
    ):
        assert name in names
    assert len(names) == len(re.findall("<dt>", page))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_no_page_is_wider_than_a_phone(site: Path, tmp_path: Path) -> None:
    wide = {}
    with chromium(tmp_path / "profile") as browser:
        for page in site.glob("**/*.html"):
            browser.show(page, 390)
            wide[page.name] = browser.value(TOO_WIDE) + browser.value(SCROLLED)
            assert browser.complaints() == [], page.name
    assert {name: parts for name, parts in wide.items() if parts} == {}


def test_every_protocol_of_criteria_is_described(site: Path) -> None:
    page = (site / "backend-interface.html").read_text()
    protocols = [name for name, each in vars(criteria).items() if is_protocol_of_criteria(each)]
    assert len(protocols) > 5
    assert [name for name in protocols if f'id="fedbadges.rules.criteria.{name}"' not in page] == []


def is_protocol_of_criteria(candidate: object) -> bool:
    return (
        isinstance(candidate, type)
        and Protocol in candidate.__bases__
        and candidate.__module__ == criteria.__name__
    )


def leads_somewhere(page: Path, link: str, pages: dict[Path, str]) -> bool:
    path, fragment = urldefrag(link)
    path = unquote(path.partition("?")[0])
    target = (page.parent / path).resolve() if path else page
    if target in pages and fragment:
        return f'id="{fragment}"' in pages[target]
    return target.exists()
