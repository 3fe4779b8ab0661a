"""Whatever a rule's text or a message is: nothing but the documented errors comes of it."""

import contextlib
import datetime
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from support.rule_text import PARSING, PATH, complete, load, message

from fedbadges.errors import MissingValue, RuleError
from fedbadges.messages import parse_message
from fedbadges.rules.filters import FILTER_KEYS, PAGE_KEYS
from fedbadges.rules.loader import load_text
from fedbadges.rules.recipients import CONVERSIONS, TrustedDomains, account
from fedbadges.rules.rule import Rule

EXAMPLES = [path.read_text() for path in sorted(Path(__file__).parents[2].glob("rules/*/*.yml"))]

WHOLE = """\
tags: [a, "b"]
recipient: "%(msg.user)s"
recipient_email2fas: Yes
trigger:
  all:
    - topic: {any: [a.b, &topic c.d]}
    - not: {category: git}
    - lambda: "a" in json.dumps(msg)
criteria:
  any:
    - datanommer:
        filter: {topics: [*topic, "%(topic)s"], users: {lambda: "[1]"}, start: 30 days ago}
        operation: {lambda: "len(query.all()) + %(msg.n)s"}
        condition: {greater than or equal to: 5}
"""


def try_load(data: bytes) -> tuple[Rule, ...]:
    """Loads a rule file; every mistake must be one line with a place in the file."""
    try:
        return load_text(data, PATH, PARSING)
    except RuleError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert problem.place.path == PATH
        assert problem.place.line >= 1
        assert problem.place.column >= 1
        assert problem.text.isprintable()
    return ()


# Rule texts

PIECES = st.sampled_from(
    [
        *"""\n \t:-?[]{},&*!|>'"%@`#()=.""",
        "\n  ", "\n- ", ": ", "<<: *a", "&a ", "*a", "!!int ", "!!seq ", "!!binary ", "!x ",
        "---\n", "...\n", "%YAML 1.1\n", "%(", ")s", "%(msg.x)s", "%%", "%()s",
        "name", "trigger", "criteria", "filter", "operation", "condition", "datanommer",
        "topic", "category", "lambda", "lambda: ", "all", "any", "not", "recipient", "tags",
        "count", "greater than", "start", "30 days ago", "\x00", "\ufeff", "\u2028", "\x85", "é",
        "msg", "query", "yield", "1e400", ".inf", ".nan", "0x", "1:1", "2023-02-30", "~", "yes",
    ]
)  # fmt: skip


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf\xc3\xa9\xff")
def test_any_bytes_load_or_are_mistakes(data):
    try_load(data)


@given(st.text(max_size=200))
def test_any_text_loads_or_is_a_mistake(text):
    try_load(text.encode("utf-8", "surrogatepass"))


@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_pieces_of_rules_load_or_are_mistakes(text):
    try_load(text.encode())


@given(st.sampled_from([WHOLE, *EXAMPLES]), st.data())
def test_any_changed_rule_loads_or_is_a_mistake(text, data):
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(PIECES | st.just("")) + text[end:]
    try_load(complete(text).encode())


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.datetimes(),
    PIECES,
)
KEYS = st.sampled_from(
    ["all", "any", "not", "topic", "lambda", "filter", "operation", "condition", "datanommer"]
)
TREES = st.recursive(
    SCALARS,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(KEYS | PIECES, parts, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["trigger", "criteria", "recipient", "tags", "name"]), TREES)
def test_any_tree_in_place_of_a_part_loads_or_is_a_mistake(key, tree):
    dumped = yaml.safe_dump({key: tree}, allow_unicode=True)
    try_load(complete(dumped).encode("utf-8", "surrogatepass"))


@given(st.text(st.sampled_from("msgxy01 .,:=+-*%()[]{}'\"\\\n#lambdaifor"), max_size=40))
def test_any_lambda_loads_or_is_a_mistake(text):
    try_load(complete(f"trigger: {{lambda: {json.dumps(text)}}}\n").encode())
    parts = f"filter: {{topics: [a]}}, operation: {{lambda: {json.dumps(text)}}}"
    try_load(complete(f"criteria: {{{parts}, condition: {{equal to: 1}}}}\n").encode())


def test_every_beginning_of_a_rule_loads_or_is_a_mistake():
    text = complete(WHOLE)
    for length in range(len(text)):
        try_load(text[:length].encode())


def test_every_rule_with_a_line_less_or_twice_loads_or_is_a_mistake():
    for text in (complete(WHOLE), *EXAMPLES):
        lines = text.splitlines(keepends=True)
        for number in range(len(lines)):
            try_load("".join(lines[:number] + lines[number + 1 :]).encode())
            try_load("".join(lines[: number + 1] + lines[number:]).encode())


# Messages

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=10),
        st.sampled_from(["\ud800", "\x00", "alice@fedoraproject.org", "::1", "1.2.3.4", "a" * 99]),
        st.sampled_from(["http://a.id.b/", "https://b/user/c", "d@E", "2 days ago", "", " "]),
    ),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "name", "0", "x.y", ""]), parts, max_size=3)
    ),
    max_leaves=8,
)
TEMPLATES = ["%(msg)s", "%(msg.x)s", "%(msg.x.y)s", "%(msg.0.x)s", "%(msg.x.0)s", "a%(msg.x)s b"]

RECIPIENTS = [
    load(f'recipient: "{template}"\n' + "".join(f"{key}: Yes\n" for key in conversions)).recipient
    for template in TEMPLATES
    for conversions in ((), CONVERSIONS)
]
FILTERS = [
    load(
        "criteria:\n"
        f'  filter: {{{key}: "{template}"}}\n'
        "  operation: count\n"
        "  condition: {equal to: 1}\n"
    ).criteria.criterion.filter
    for key in FILTER_KEYS
    if key not in (*PAGE_KEYS, "fields")
    for template in TEMPLATES
]


@given(JSON)
def test_any_message_names_accounts_or_is_missing_them(msg):
    body = message(msg=msg).body
    for recipient in RECIPIENTS:
        try:
            found = recipient.find(body, TrustedDomains())
        except MissingValue:
            continue
        for each in found:
            assert (each.name is None) == bool(each.dropped)
            if each.name is not None:
                assert each.name == each.name.lower()
                assert 0 < len(each.name) <= 64
                assert not any(char.isspace() or char in "@/:%" for char in each.name)
                assert account(each.name).name == each.name


@given(JSON, st.sampled_from([None, "alice"]))
def test_any_message_fills_a_filter_or_is_missing_a_value(msg, recipient):
    incoming = message(msg=msg)
    for each in FILTERS:
        try:
            filled = each.fill(incoming, recipient)
        except MissingValue:
            continue
        hash(filled)
        moments = [moment for moment in (filled.start, filled.end) if moment is not None]
        texts = [text for _, values in filled.lists for text in values]
        if filled.msg_id is not None:
            texts.append(filled.msg_id)
        assert moments or texts, "nothing would be filtered"
        assert all(values for _, values in filled.lists), "no filter, though the rule has one"
        for moment in moments:
            assert isinstance(moment, datetime.datetime)
            assert moment.tzinfo is None
        for text in texts:
            assert "\x00" not in text
            text.encode()


@given(JSON | st.dictionaries(st.sampled_from(["topic", "msg_id", "timestamp", "msg"]), JSON))
def test_anything_from_the_bus_is_a_message_or_none(body):
    found = parse_message(body)
    assert found is None or isinstance(found.category, str)


@pytest.mark.parametrize("depth", [900, 20_000])
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"x": inner}])
def test_a_deeply_nested_message_is_judged_without_a_crash(depth, wrap):
    nested: object = "alice"
    for _ in range(depth):
        nested = wrap(nested)
    incoming = message(msg={"x": nested})
    for recipient in RECIPIENTS:
        with contextlib.suppress(MissingValue):
            recipient.find(incoming.body, TrustedDomains())
    for each in FILTERS:
        with contextlib.suppress(MissingValue):
            each.fill(incoming, None)
