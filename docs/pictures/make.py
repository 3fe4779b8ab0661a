"""Make the pictures of the commands, from what they print and write today.

``python docs/pictures/make.py`` makes all, for which it needs Chromium.
"""

from __future__ import annotations

import base64
import copy
import io
import re
import sys
import tempfile
from pathlib import Path

from rich.color_triplet import ColorTriplet
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, MONOKAI, TerminalTheme
from rich.text import Text

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from support.chromium import Chromium, chromium
from support.for_authors import deployment_of_authors
from support.terminal import on_terminal

PICTURES = Path(__file__).parent
FEDBADGES = Path(sys.executable).with_name("fedbadges")
COLUMNS = 90
LIGHT = copy.copy(DEFAULT_TERMINAL_THEME)
# White would have no edge on a white page.
LIGHT.background_color = ColorTriplet(244, 245, 247)
THEMES = {"light": LIGHT, "dark": MONOKAI}
#: The command of each picture.
COMMANDS = {
    "check": "fedbadges check rules",
    "explain": "fedbadges explain messages/edit.json",
}
#: Pixels of the pictures of pages, and the first part of the preview's page that is not shown.
WIDTH, BELOW = 960, ".people"


def main() -> None:
    """Make all pictures anew."""
    with tempfile.TemporaryDirectory() as folder:
        directory = deployment_of_authors(Path(folder, "authors"))
        for name, svg in svgs(directory).items():
            (PICTURES / name).write_text(svg, encoding="utf-8")
        page = preview_page(directory)
        with chromium(Path(folder, "profile")) as browser:
            for scheme in THEMES:
                photograph(browser, page, scheme, PICTURES / f"preview-{scheme}.png")


def svgs(directory: Path) -> dict[str, str]:
    """Run the commands in a deployment, whose rule they mend; return pictures by file name."""
    printed = {"check": run("check", directory)}
    mend(directory / "rules/scribe.yml")
    printed["explain"] = run("explain", directory)
    return {
        f"{name}-{scheme}.svg": as_svg(name, text, theme)
        for name, text in printed.items()
        for scheme, theme in THEMES.items()
    }


def run(name: str, directory: Path) -> str:
    """Return a prompt with a command, and what it prints on a terminal, with its colours."""
    command = COMMANDS[name]
    # A bar of progress is for those who wait; it is drawn only if errors go to a terminal.
    started = f'cd "$0" && {FEDBADGES.parent}/{command} 2>errors; cat errors'
    shown = on_terminal(
        "bash", "-c", started, directory, COLUMNS=str(COLUMNS), HOME=str(directory), NO_COLOR=""
    )
    return f"\x1b[1m$ {command}\x1b[0m\n" + shown.replace("\r\n", "\n")


def mend(rule: Path) -> None:
    """Correct the mistakes of the example."""
    text = rule.read_text(encoding="utf-8")
    text = text.replace("descripton: ", "description:").replace("greater then", "greater than")
    text = text.replace("is 0", "== 0")
    usernames = '    usernames: ["%(recipient)s"]\n'
    rule.write_text(text.replace("  operation:", f"{usernames}  operation:"), encoding="utf-8")


def as_svg(name: str, printed: str, theme: TerminalTheme) -> str:
    """Return a picture of a terminal, which loads no fonts from elsewhere."""
    console = Console(file=io.StringIO(), width=COLUMNS, record=True, force_terminal=True)
    console.print(Text.from_ansi(printed.rstrip("\n")))
    svg = console.export_svg(title="", theme=theme, unique_id=name)
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def text_of(svg: str) -> list[str]:
    """Return the pieces of text that a picture shows, without their colours."""
    return re.findall(r"<text[^>]*>(.*?)</text>", svg)


def preview_page(directory: Path) -> Path:
    """Return the page that ``fedbadges preview --html`` writes."""
    command = f"{FEDBADGES} preview --html scribe.html rules/scribe.yml"
    on_terminal("bash", "-c", f'cd "$0" && exec {command}', directory, HOME=str(directory))
    return directory / "scribe.html"


def photograph(browser: Chromium, page: Path, scheme: str, picture: Path) -> None:
    """Store a picture of a page's plots, as a browser shows them that is light or dark.

    The end of the page, which names the day, is left out.
    """
    browser.call("Emulation.setScrollbarsHidden", hidden=True)
    browser.show(page, WIDTH, scheme)
    height = browser.value(f"document.querySelector({BELOW!r}).getBoundingClientRect().top")
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": round(height), "scale": 1}
    done = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    picture.write_bytes(base64.b64decode(done["data"]))


if __name__ == "__main__":
    main()
