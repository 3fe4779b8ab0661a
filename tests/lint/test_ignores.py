"""Comments in rules that ignore findings."""

from pathlib import Path

import pytest
from support.rule_text import complete

from fedbadges.cli.deployment import placeholder_settings
from fedbadges.criteria.backends import load_backends
from fedbadges.lint.findings import CODES, ERRORS
from fedbadges.lint.linter import Linter

SETTINGS = placeholder_settings({})
LINTER = Linter(load_backends(SETTINGS), SETTINGS)

RULE = complete(
    """\
name: Odd  Badge
trigger:
  any:
  - lambda: msg['i'] is 1
  - lambda: msg['i'] is 2
criteria:
  filter: {users: ["%(recipient)s"]}
  operation: count
  condition: {greater than or equal to: 0}
recipient: "%(msg.user)s"
"""
)
FIRST, SECOND, ALWAYS = (
    next(number for number, line in enumerate(RULE.splitlines(), 1) if part in line)
    for part in ("is 1", "is 2", "equal to: 0")
)


def found(directory: Path, text: str) -> list[str]:
    """Return what is found in a rule: the lines and the codes."""
    path = directory / "rule.yml"
    path.write_text(text)
    return [f"{each.place.line} {each.code}" for each in sorted(LINTER.run([path]))]


def unused(directory: Path, text: str) -> list[str]:
    """Return what is said of comments in a rule that ignore nothing."""
    path = directory / "rule.yml"
    path.write_text(text)
    return [
        f"{each.place.line}:{each.place.column}: {each.text}"
        for each in sorted(LINTER.run([path]))
        if each.code == "unused-ignore"
    ]


def with_line(before: int, line: str) -> str:
    lines = RULE.splitlines()
    return "\n".join([*lines[: before - 1], line, *lines[before - 1 :]])


def behind(number: int, comment: str) -> str:
    lines = RULE.splitlines()
    lines[number - 1] += f" {comment}"
    return "\n".join(lines)


def test_rule_without_comments_has_all_findings(tmp_path: Path) -> None:
    assert found(tmp_path, RULE) == [
        f"{FIRST} is-literal",
        f"{SECOND} is-literal",
        f"{ALWAYS} always-holds",
    ]


def test_comment_behind_a_line_ignores_what_is_found_there(tmp_path: Path) -> None:
    text = behind(FIRST, "# fedbadges: ignore[is-literal]")

    assert found(tmp_path, text) == [f"{SECOND} is-literal", f"{ALWAYS} always-holds"]


def test_comment_alone_on_its_line_ignores_what_is_found_in_the_next(tmp_path: Path) -> None:
    text = with_line(FIRST, "  # fedbadges: ignore[is-literal]\n\n  # It is well known.")

    assert found(tmp_path, text) == [f"{SECOND + 3} is-literal", f"{ALWAYS + 3} always-holds"]


def test_comment_above_the_first_key_is_about_the_whole_file(tmp_path: Path) -> None:
    text = with_line(1, "# For the old daemon. fedbadges: is fine\n# fedbadges: ignore[is-literal]")

    assert found(tmp_path, text) == [f"{ALWAYS + 2} always-holds"]


def test_comment_may_have_several_codes_and_a_reason(tmp_path: Path) -> None:
    text = with_line(1, "#fedbadges:ignore[ is-literal,always-holds ] as it was in 2014")

    assert found(tmp_path, text) == []


def test_comment_ignores_nothing_else_in_its_line(tmp_path: Path) -> None:
    text = behind(FIRST, "# fedbadges: ignore[always-holds]")

    assert found(tmp_path, text) == [
        f"{FIRST} is-literal",
        f"{FIRST} unused-ignore",
        f"{SECOND} is-literal",
        f"{ALWAYS} always-holds",
    ]


def test_unused_ignore_says_what_is_wrong(tmp_path: Path) -> None:
    column = len(RULE.splitlines()[FIRST - 1]) + 2

    def of(comment: str) -> list[str]:
        texts = unused(tmp_path, behind(FIRST, comment))
        assert all(text.startswith(f"{FIRST}:{column}: ") for text in texts)
        return [text.partition(": ")[2] for text in texts]

    assert of("# fedbadges: ignore[is-litreal]") == [
        "there is no finding 'is-litreal'; did you mean 'is-literal'?"
    ]
    assert of("# fedbadges: ignore[always-holds, is-literal]") == [
        f"'always-holds' is not found in line {FIRST}, but in line {ALWAYS}"
    ]
    assert of("# fedbadges: ignore[cut-text]") == [
        f"'cut-text' is not found in line {FIRST}; remove it from the comment"
    ]
    wrong = "is not understood; write '# fedbadges: ignore[code]'"
    for comment in ("# fedbadges: ignore", "# fedbadges: ignore[]", "# fedbadges: noqa[cut-text]"):
        assert of(comment) == [f"'{comment}' {wrong}"]


def test_unused_ignore_of_a_whole_file_is_found(tmp_path: Path) -> None:
    assert unused(tmp_path, f"# fedbadges: ignore[cut-text]\n{RULE}") == [
        "1:1: 'cut-text' is not found in this file; remove it from the comment"
    ]


@pytest.mark.parametrize("code", [*ERRORS, "unused-ignore"])
def test_what_keeps_a_rule_from_loading_cannot_be_ignored(tmp_path: Path, code: str) -> None:
    comment = f"# fedbadges: ignore[{code}]\n"

    assert unused(tmp_path, comment + RULE) == [f"1:1: '{code}' cannot be ignored: {CODES[code]}"]
    broken = (comment + RULE).replace("operation", "opration")
    assert "mistake" in found(tmp_path, broken)[0]


def test_what_depends_on_more_than_the_rule_may_be_ignored_where_it_is_not_found(
    tmp_path: Path,
) -> None:
    text = behind(FIRST, "# fedbadges: ignore[stale-topic, missing-path, no-plugin, same-again]")

    assert unused(tmp_path, text) == []


def test_second_rule_for_the_same_can_be_ignored_in_that_rule(tmp_path: Path) -> None:
    for name in ("a", "b"):
        text = RULE.replace("Odd  Badge", name).replace("0}", "5}")
        (tmp_path / f"{name}.yml").write_text(text)
    files = sorted(tmp_path.glob("*.yml"))
    codes = [each.code for each in LINTER.run(files)]
    files[1].write_text(f"# fedbadges: ignore[same-again]\n{text}")

    assert [code for code in codes if code != "is-literal"] == ["same-again"]
    assert [each.code for each in LINTER.run(files) if each.code != "is-literal"] == []


def test_comment_that_ignores_is_not_taken_for_text(tmp_path: Path) -> None:
    line = next(n for n, text in enumerate(RULE.splitlines(), 1) if text.startswith("descr"))

    comment = " #1 # fedbadges: ignore[cut-text]"
    assert f"{line} cut-text" in found(tmp_path, behind(line, "#1"))
    assert f"{line} cut-text" not in found(tmp_path, behind(line, comment))
    assert found(tmp_path, behind(line, "# fedbadges: ignore[stale-topic]")) == found(
        tmp_path, RULE
    )
