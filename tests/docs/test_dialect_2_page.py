"""What the page about rules of fedbadges 2.x shows is what ``fedbadges convert`` writes."""

from pathlib import Path

from support.command import fedbadges
from support.documented import ROOT, blocks
from support.rule_text import METADATA


def test_converted_rule_is_the_one_shown(tmp_path: Path) -> None:
    page = blocks(ROOT / "docs/dialect-2.rst")
    rule, converted, _ = [text for _, language, text in page if language == "yaml"]
    path = tmp_path / "rule.yml"
    path.write_text(METADATA + rule)

    assert fedbadges("convert", path).exit_code == 0

    assert path.read_text() == METADATA + converted
