"""The comments of a YAML document: where they are, and which line each is about."""

from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedbadges.rules import yaml_comments
from fedbadges.rules.yaml_comments import Comment, find_comments
from fedbadges.rules.yaml_document import parse_document


@pytest.fixture(scope="module", params=["default", "pure"], autouse=True)
def _loader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Scan with libyaml and without."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "pure":
            patch.setattr(yaml_comments, "LOADER", yaml.SafeLoader)
        yield


def comments(text: str) -> list[Comment]:
    data = text.encode()
    parse_document(data, "rule.yml")
    return list(find_comments(data, "rule.yml"))


#: Entries of a mapping, each with what may follow it on its last line; '#' within them is text.
ENTRIES = [
    "plain{n}: some text#without a blank",
    "quoted{n}: 'it''s # text'",
    'double{n}: "a \\" # text"',
    "list{n}: [1, 'x # y', {{a: b}}]",
    "below{n}:\n  deep:\n    deeper: 'x'",
    "items{n}:\n- 1\n- two",
    "empty{n}:",
    "long{n}: begins here\n  and ends here",
]
texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=10).map(lambda t: f"#{t}")


@given(
    st.lists(st.tuples(st.lists(texts, max_size=2), st.sampled_from(ENTRIES), texts | st.none()))
)
def test_each_comment_is_found_with_its_place(
    parts: list[tuple[list[str], str, str | None]],
) -> None:
    lines, expected = ["first: 1"], []
    for number, (above, entry, behind) in enumerate(parts):
        content = entry.format(n=number).split("\n")
        about = len(lines) + len(above) + 1
        for text in above:
            lines.append(f"  {text}")
            expected.append(Comment(len(lines), 3, text, about))
        lines += content
        if behind is not None:
            expected.append(Comment(len(lines), len(lines[-1]) + 3, behind, len(lines)))
            lines[-1] += f"  {behind}"

    assert comments("\n".join(lines)) == expected


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_comments_before_all_content_are_about_no_line(newline: str) -> None:
    lines = ["# one", "", "--- # two", "  # three", "a: 1", "# four", "b: 2"]

    assert comments(newline.join(lines)) == [
        Comment(1, 1, "# one", None),
        Comment(3, 5, "# two", None),
        Comment(4, 3, "# three", None),
        Comment(6, 1, "# four", 7),
    ]


def test_blocks_of_text_have_a_comment_in_their_first_line_alone() -> None:
    text = "a: |  # one\n  # text\n  text # text\n# two\nb: >-\n  # text\n  # text\n"

    assert comments(text) == [Comment(1, 7, "# one", 1), Comment(4, 1, "# two", 5)]


def test_comment_at_the_end_is_about_a_line_without_content() -> None:
    (last,) = comments("a: 1\n# last")

    assert last.about is not None
    assert last.about > 1


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("""lambda: "a" in msg['b']  # one""", ["# one"]),
        ("""lambda: "a # b" in msg['c']  # one""", ["# one"]),
        # The whole line is Python's where YAML cannot split it.
        ("""lambda: "a" in {'b': 1}  # one""", []),
    ],
)
def test_lambda_that_begins_with_a_quotation_mark_may_have_a_comment(
    line: str, found: list[str]
) -> None:
    text = f"trigger:\n  {line}\nb: 1  # two\n"

    assert [comment.text for comment in comments(text)] == [*found, "# two"]
    assert comments(text)[-1] == Comment(3, 7, "# two", 3)


def test_every_line_end_of_yaml_counts() -> None:
    assert comments("a: 'x\u2028y'\nb: 1 # one\n") == [Comment(3, 6, "# one", 3)]
