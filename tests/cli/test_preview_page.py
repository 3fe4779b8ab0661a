"""The page that ``fedbadges preview --html`` writes, as Chromium shows it."""

import datetime
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.chromium import CHROMIUM, Chromium, chromium

from fedbadges.cli.preview.figures import LIMIT, Distribution, Earner, Preview
from fedbadges.cli.preview.output import as_html
from fedbadges.cli.preview.series import SeriesPreview
from fedbadges.rules.rule import Badge

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

WIDTHS = (360, 1100)
SCHEMES = ("light", "dark")
DATAGREPPER = "https://datagrepper.example.org"
TOPIC = "org.example.prod.wiki.article.edit"
TEXT = """\
name: Scribe
criteria:
  filter: {topics: ["%(topic)s"], usernames: ["%(msg.user)s"]}
  operation: count
  condition: {greater than: 49}
"""

HOSTILE = (
    "<script>alert(1)</script>",
    "</title></style></svg><script>alert(2)</script>",
    "\" onload=alert(3) x='",
    "&lt;b&gt; &amp; <!-- ]]> -->",
    "\u202egnirts a\u202c \u2066x\u2069 \u200f",
    "nul\x00 escape\x1b[31m tab\t \ud800",
    "x" * 10_000,
    "العربية עברית",
)

CONTRASTS = """
(() => {
  const luminance = colour => colour.map(part => part / 255)
    .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const parts = colour => colour.match(/[0-9.]+/g).map(Number);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = parts(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const contrast = (element, colour) => {
    const both = [colour, behind(element)].map(luminance).sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
  };
  const found = {text: [], shapes: []};
  for (const element of document.body.querySelectorAll('*')) {
    const style = getComputedStyle(element), drawn = element.closest('svg') !== null;
    const speaks = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (speaks && !['title', 'desc'].includes(element.tagName))
      found.text.push(contrast(element, parts(drawn ? style.fill : style.color)));
    if (element.tagName === 'rect') found.shapes.push(contrast(element, parts(style.fill)));
    if (element.matches('.curve, line.mark'))
      found.shapes.push(contrast(element, parts(style.stroke)));
  }
  return Object.fromEntries(
    Object.entries(found).map(([kind, all]) => [kind, [all.length, Math.min(...all)]]));
})()
"""


def made(peaks: dict[str, int], own: int, *, topic: str = TOPIC, text: str = TEXT) -> Preview:
    """Return a preview in which whoever got far enough did so one day after the other."""
    begin = datetime.datetime(2012, 2, 29, 9, 30)
    reached = [name for name, peak in peaks.items() if peak >= own]
    earners = tuple(
        Earner(
            name,
            begin + datetime.timedelta(days=day),
            topic,
            f"2012-{day}",
            f"{DATAGREPPER}/id?id={day}&is_raw=true" if day % 2 == 0 else None,
        )
        for day, name in enumerate(reached)
    )
    badge = Badge("scribe", "Scribe", "You edited fifty pages.", "", "", "alice")
    return Preview(badge, "scribe.yml", text, earners, Distribution(peaks, own), 900, 1000, False)


PEOPLE = {f"user{number}": number * number // 3 for number in range(1, 60)}
ORDINARY = made(PEOPLE, 50)
SPOILT = made(
    dict.fromkeys(HOSTILE, LIMIT) | {"bob": -3},
    LIMIT // 10,
    topic=HOSTILE[0],
    text="\n".join(HOSTILE),
)
NOBODY = made({"alice": 3}, 50)
UNCOUNTABLE = replace(ORDINARY, counts=None, read=1000, complete=True)
LAST_DAY = replace(
    NOBODY, earners=(replace(ORDINARY.earners[0], when=datetime.datetime.max),), counts=None
)
SERIES = SeriesPreview(
    "Scribe",
    tuple(
        replace(
            made(PEOPLE, own), badge=Badge(f"scribe-{n}", f"Scribe {n}", "Edits.", "", "", "alice")
        )
        for n, own in enumerate((1, 50, 51, 500, 5000), 1)
    ),
    (1, 50, 51, 500, 5000),
)
PREVIEWS = {
    "ordinary": ORDINARY,
    "series": SERIES,
    "spoilt": SPOILT,
    "nobody": NOBODY,
    "uncountable": UNCOUNTABLE,
    "last day": LAST_DAY,
}
CROWD = made({f"user{number}": number for number in range(12_000)}, 3)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(params=PREVIEWS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the page of each preview."""
    return stored(tmp_path, PREVIEWS[request.param])


def stored(directory: Path, preview: Preview | SeriesPreview) -> Path:
    path = directory / "page.html"
    path.write_text(as_html(preview, datetime.date(2026, 11, 24)), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_its_window_and_loads_nothing(
    browser: Chromium, file: Path, width: int, scheme: str
) -> None:
    browser.show(file, width, scheme)

    assert browser.complaints() == []
    assert browser.requests() == [file.as_uri()]
    assert browser.value("innerWidth") == width
    assert browser.value("document.scrollingElement.scrollWidth <= innerWidth") is True
    # Nor is anything cut off.
    outside = """[...document.querySelectorAll('main *')].filter(each => {
        const box = each.getBoundingClientRect();
        return box.width && (box.left < 0 || box.right > innerWidth + 0.5);
    }).map(each => each.outerHTML.slice(0, 80))"""
    assert browser.value(outside) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_page_has_enough_contrast(browser: Chromium, file: Path, scheme: str) -> None:
    browser.show(file, 360, scheme)

    contrasts = browser.value(CONTRASTS)
    assert contrasts["text"][0] > 5
    assert contrasts["text"][1] >= 4.5
    if contrasts["shapes"][0]:
        assert contrasts["shapes"][1] >= 3


def test_page_is_dark_in_a_dark_colour_scheme(browser: Chromium, tmp_path: Path) -> None:
    file = stored(tmp_path, ORDINARY)
    background = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)"

    browser.show(file, 360, "light")
    light = browser.value(background)
    browser.show(file, 360, "dark")
    dark = browser.value(background)

    assert min(light) > 220
    assert max(dark) < 60


@pytest.mark.parametrize("preview", [ORDINARY, CROWD, LAST_DAY], ids=["some", "crowd", "one"])
def test_text_of_plots_is_large_enough_on_a_phone(
    browser: Chromium, tmp_path: Path, preview: Preview
) -> None:
    browser.show(stored(tmp_path, preview), 360)

    scale = "Math.min(...[...document.querySelectorAll('svg')].map(each => each.getScreenCTM().a))"
    size = "parseFloat(getComputedStyle(document.querySelector('svg text')).fontSize)"
    assert browser.value(f"{scale} * {size}") >= 11
    # And no name stands over another, or beside the picture.
    clash = """[...document.querySelectorAll('svg')].some(svg => {
        const boxes = [...svg.querySelectorAll('text')].map(each => each.getBoundingClientRect());
        const edge = svg.getBoundingClientRect();
        return boxes.some((a, place) =>
            a.left < edge.left || a.right > edge.right + 0.5 || boxes.slice(place + 1).some(b =>
                a.left < b.right && b.left < a.right && a.top < b.bottom - 4 && b.top < a.bottom - 4
            ));
    })"""
    assert browser.value(clash) is False


def test_page_escapes_hostile_text(browser: Chromium, tmp_path: Path) -> None:
    browser.show(stored(tmp_path, SPOILT), 360)

    tags = browser.value("[...new Set([...document.querySelectorAll('*')].map(e => e.tagName))]")
    assert {"SCRIPT", "script", "B", "IMG"}.isdisjoint(tags)
    assert browser.value("[...document.querySelectorAll('[onload], [style]')].length") == 0
    names = browser.value(
        "[...document.querySelectorAll('.people td:first-child')].map(e => e.textContent)"
    )
    assert names == [
        *HOSTILE[:4],
        r"\u202egnirts a\u202c \u2066x\u2069 \u200f",
        r"nul\x00 escape\x1b[31m tab\t \ud800",
        *HOSTILE[6:],
    ]
    assert browser.value("document.title") == "Scribe: a preview"
    assert browser.value("document.querySelector('pre').textContent").splitlines() == names


def test_page_links_to_datagrepper_only(browser: Chromium, tmp_path: Path) -> None:
    browser.show(stored(tmp_path, ORDINARY), 1100)

    links = browser.value("[...document.querySelectorAll('[href], [src]')].map(e => e.href)")
    assert links == [earner.link for earner in ORDINARY.earners if earner.link]
    assert len(links) > 3


def test_page_is_accessible_to_screen_readers(browser: Chromium, tmp_path: Path) -> None:
    browser.show(stored(tmp_path, ORDINARY), 1100)

    assert browser.value("document.documentElement.lang") == "en"
    assert browser.value("[...document.querySelectorAll('h1')].map(e => e.textContent)") == [
        "Scribe"
    ]
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    told = [
        (node["name"]["value"], node.get("description", {}).get("value", ""))
        for node in nodes
        if node["role"]["value"] == "image"
    ]
    assert [name for name, _ in told] == ["Awards over time", "How far people got"]
    assert all(len(description) > 20 for _, description in told)
    assert "The badge begins at 50." in told[1][1]
    roles = [node["role"]["value"] for node in nodes]
    assert (roles.count("table"), roles.count("columnheader")) == (2, 6)


def test_page_of_a_series_shows_its_badges_and_their_thresholds(
    browser: Chromium, tmp_path: Path
) -> None:
    browser.show(stored(tmp_path, SERIES), 1100)

    rows = browser.value(
        "[...document.querySelector('table').rows].map(r => [...r.cells].map(c => c.textContent))"
    )
    assert [row[:3] for row in rows] == [
        ["Badge", "At least", "Awards"],
        *([each.name, each.at_least, str(each.awards)] for each in SERIES.table),
    ]
    marks = browser.value("[...document.querySelectorAll('text.mark')].map(e => e.textContent)")
    assert marks == [f"{name}, from {least} on" for least, name in SERIES.labels.items()]
    assert len(marks) == 5


def test_tables_stay_tables_on_a_phone(browser: Chromium, tmp_path: Path) -> None:
    browser.show(stored(tmp_path, ORDINARY), 360)

    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes]
    assert (roles.count("table"), roles.count("columnheader")) == (2, 6)


def test_content_security_policy_blocks_everything_else(browser: Chromium, tmp_path: Path) -> None:
    file = stored(tmp_path, ORDINARY)
    intruder = (
        "<script>document.title = 'mine'</script><p style='color: red'>"
        "<img src='https://example.invalid/x.png' onerror='document.title = 1'>"
        "<style>body {background: red}</style>"
    )
    file.write_text(file.read_text().replace("</main>", intruder + "</main>"))

    browser.show(file, 360)

    assert browser.value("document.title") == "Scribe: a preview"
    assert [each["blockedReason"] for each in browser.happened("Network.loadingFailed")] == ["csp"]
    said = " ".join(each["entry"]["text"] for each in browser.complaints()).lower()
    assert set(re.findall(r"((?:executing|applying) inline \w+|loading the \w+)", said)) == {
        "executing inline script",
        "executing inline event",
        "applying inline style",
        "loading the image",
    }
