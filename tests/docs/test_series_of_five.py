"""The series of five in the cookbook gives what it says."""

from pathlib import Path

import pytest
from support.documented import EXAMPLES, completed
from support.rule_test_files import make_runner, run, write_suite

(FIVE,) = [each for each in EXAMPLES if "Scribe V," in each.text]

THRESHOLDS = {"i": 1, "ii": 10, "iii": 50, "iv": 100, "v": 250}

TESTS = """\
messages:
  edit:
    topic: org.fedoraproject.prod.wiki.article.edit
    msg: {user: "%(from)s"}
tests:
"""


def reaching(badge: str, edits: int) -> str:
    """Return a test that an edit gives a badge, and the one before it does not."""
    past = f"  past: [{{like: edit, from: carol, count: {edits - 2}}}]\n" if edits > 2 else ""
    none = f"  - {{like: edit, from: carol, no_awards: {{carol: {badge}}}}}\n"
    before = none if edits > 1 else ""
    return (
        f"- name: {badge}\n{past}  incoming:\n{before}"
        f"  - {{like: edit, from: carol, awards: {{carol: {badge}}}}}\n"
    )


@pytest.mark.parametrize(("number", "edits"), THRESHOLDS.items())
def test_each_badge_of_the_series_of_five_comes_with_its_edit(
    tmp_path: Path, number: str, edits: int
) -> None:
    text = TESTS + reaching(f"scribe-{number}", edits)
    path = write_suite(tmp_path, text, completed(FIVE.text).decode())

    assert run(make_runner(), path) == []


def test_who_edited_much_before_gets_all_five(tmp_path: Path) -> None:
    badges = ", ".join(f"scribe-{number}" for number in THRESHOLDS)
    text = TESTS + (
        "- name: all\n  past: [{like: edit, from: carol, count: 300}]\n"
        f"  incoming: [{{like: edit, from: carol, awards: {{carol: [{badges}]}}}}]\n"
    )
    path = write_suite(tmp_path, text, completed(FIVE.text).decode())

    assert run(make_runner(), path) == []
