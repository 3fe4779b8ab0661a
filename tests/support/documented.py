"""Rules that the documentation shows."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from support.rules import METADATA

ROOT = Path(__file__).parents[2]
# What only Sphinx reads: its directives make these pages from other files.
SITE_ONLY = {
    ROOT / "docs" / f"{name}.rst"
    for name in (
        "index",
        "readme",
        "changelog",
        "contributing",
        "security",
        "settings",
        "rule-keys",
        "backend-interface",
    )
}
PAGES = sorted(
    page
    for where in (".", "docs", "tests")
    for page in (ROOT / where).glob("*.rst")
    if page not in SITE_ONLY
)

# What a fragment of a rule leaves out.
DEFAULTS = {
    "name": METADATA.format(
        name="Fragment", description="Of the docs", image_url="https://badges.example.org/f.png"
    ),
    "trigger": "trigger:\n  topic: git.receive\n",
    "criteria": """\
criteria:
  filter: {topics: ["%(topic)s"]}
  operation: count
  condition: {greater than or equal to: 1}
""",
}


@dataclass(frozen=True)
class Example:
    """A rule that a page shows, with the message and the candidates beside it, if any."""

    page: Path
    line: int
    text: str
    message: dict | None
    candidates: tuple[str, ...] | None


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """Return line, language and text of the page's code blocks."""
    found = []
    for match in re.finditer(
        r"^\.\. code-block:: (\w+)\n\n((?:    .*\n|\n)+)", page.read_text() + "\n", re.MULTILINE
    ):
        text = re.sub(r"^    ", "", match[2], flags=re.MULTILINE).rstrip() + "\n"
        found.append((page.read_text().count("\n", 0, match.start()) + 1, match[1], text))
    return found


def examples() -> list[Example]:
    found = []
    for page in PAGES:
        lines = page.read_text().splitlines()
        parts = blocks(page)
        for number, (line, language, text) in enumerate(parts):
            if language != "yaml":
                continue
            following = parts[number + 1] if number + 1 < len(parts) else (0, "", "")
            message = json.loads(following[2]) if following[1] == "json" else None
            told = None
            if message is not None:
                after = lines[following[0] + following[2].count("\n") + 1 :][:2]
                said = re.match(r"Candidates: (.*)", " ".join(after).strip())
                told = tuple(said[1].split(", ")) if said else None
            found.append(Example(page, line, text, message, told))
    return found


EXAMPLES = examples()


def completed(text: str) -> bytes:
    """Return a rule, or a series, with what the page has left out of it."""

    def lacks(key: str) -> bool:
        return not re.search(rf"^{key}:", text, re.MULTILINE)

    about_badges = "tahrir:" in text and lacks("recipient")
    for key, default in DEFAULTS.items():
        if key == "trigger" and about_badges:
            continue
        if key == "name" and not lacks("badges"):
            lines = [line for line in default.splitlines() if not line.startswith("name:")]
            text = "".join(f"{line}\n" for line in lines if lacks(line.partition(":")[0])) + text
        elif lacks(key) and (key != "criteria" or lacks("previous")):
            text = default + text
    return text.encode()
