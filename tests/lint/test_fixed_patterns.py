"""``check --fix``: regular expressions that say no more than a comparison does."""

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.fixing import fix, trigger_of
from support.sizes import size

from fedbadges.lint.fixes.patterns import literal_tests

HOLDS = {
    "equal to": str.__eq__,
    "contains": str.__contains__,
    "starts with": str.startswith,
    "ends with": str.endswith,
}

texts = st.lists(st.sampled_from(("a", "ab", "a.", ".b", "x", "\n")), max_size=4).map("".join)
patterns = st.builds(
    "{}{}{}".format,
    st.sampled_from(("", "^", r"\A", ".*", "^.*")),
    st.sampled_from(("a", "ab", r"a\.", r"\.b", "a.b", "a*", "")),
    st.sampled_from(("", "$", r"\Z", ".*", ".*$", "?")),
)


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        (r"re.match('Common F', msg['msg']['title'])", {"msg.title": {"starts with": "Common F"}}),
        (r"re.search('a\.b', msg['msg']['title'])", {"msg.title": {"contains": "a.b"}}),
        (r"re.search('^a.*', msg['msg']['title'])", {"msg.title": {"starts with": "a"}}),
        (r"re.search('.*a.*', msg['msg']['title'])", {"msg.title": {"contains": "a"}}),
        (r"re.match('docs/.*', msg['msg']['p']) is not None", {"msg.p": {"starts with": "docs/"}}),
        (r"re.match('a', msg['msg']['p']) is None", {"msg.p": {"not": {"starts with": "a"}}}),
        (r"re.search(r'\.py\Z', msg['msg']['p'])", {"msg.p": {"ends with": ".py"}}),
        (r"re.match(r'^x\Z', msg['msg']['p'])", {"msg.p": "x"}),
        (r"re.fullmatch('x', msg['msg']['p'])", {"msg.p": "x"}),
        ("re.match('^x$', msg['msg']['p'])", {"msg.p": {"any": ["x", "x\n"]}}),
        (
            r"re.search(r'.*\.py$', msg['msg']['p'])",
            {"msg.p": {"any": [{"ends with": ".py"}, {"ends with": ".py\n"}]}},
        ),
    ],
)
def test_a_literal_pattern_is_a_comparison(expression: str, fields: dict[str, Any]) -> None:
    assert trigger_of(expression) == {"fields": fields}


@pytest.mark.parametrize(
    "trigger",
    [
        r"re.match('F\d+', msg['msg']['title'])",
        "re.match('.*docs.*', msg['msg']['a'])",
        "re.fullmatch('docs.*', msg['msg']['a'])",
        "re.match('docs', msg['msg']['a']) == True",
        "re.search('a.b', msg['msg']['a'])",
    ],
)
def test_a_pattern_that_says_more_stays(trigger: str) -> None:
    quoted = trigger.replace("'", "''")
    fixed = fix(f"trigger: {{lambda: '{quoted}'}}\n")
    assert fixed.after == fixed.before
    assert fixed.left


@given(function=st.sampled_from(("match", "search", "fullmatch")), pattern=patterns, text=texts)
@example(function="fullmatch", pattern="a.*", text="ab")
@example(function="match", pattern=".*a", text="xa")
@examples(max_examples=size(300, 20_000), deadline=None)
def test_comparisons_hold_of_the_texts_that_match(function: str, pattern: str, text: str) -> None:
    tests = literal_tests(function, pattern)
    if tests:
        found = getattr(re, function)(pattern, text) is not None
        assert any(HOLDS[name](text, wanted) for name, wanted in tests) is found
