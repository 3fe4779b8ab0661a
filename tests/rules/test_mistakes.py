"""Mistakes: what is wrong with a rule, and where, for whoever wrote it."""

import random
import re
import string
import time

import pytest
import yaml
from support.rule_text import (
    CRITERIA,
    HERE,
    METADATA,
    PARSING,
    PATH,
    TRIGGER,
    assert_mistakes,
    complete,
    load,
    mistakes,
)

from fedbadges.errors import RuleError
from fedbadges.rules import yaml_document as document
from fedbadges.rules.loader import load_file
from fedbadges.rules.yaml_document import MAX_BYTES, MAX_DEPTH, MAX_NODES

RULE_KEYS = (
    "'name', 'description', 'creator', 'discussion', 'image_url', 'trigger', 'criteria', "
    "'first', 'issuer_id', 'tags', 'series', 'dialect', 'recipient', 'except', "
    "'recipient_nick2fas', "
    "'recipient_email2fas', "
    "'recipient_openid2fas', 'recipient_github2fas', 'recipient_distgit2fas' or "
    "'recipient_krb2fas'"
)
TRIGGERS = "'topic', 'category', 'fields', 'lambda', 'all', 'any' or 'not'"
WHAT_FILTERS_HAVE = (
    "'usernames', 'not_usernames', 'topics', 'users', 'packages', 'categories', 'agents', "
    "'not_topics', 'not_users', 'not_packages', 'not_categories', 'not_agents', 'contains', "
    "'fields', 'msg_id', 'start', 'end', 'page', 'rows_per_page'{} 'order'"
)
CONDITIONS = (
    "'greater than or equal to', 'greater than', 'less than or equal to', 'less than', "
    "'equal to', 'is not', 'is not equal to', 'is greater than or equal to', "
    "'is greater than', 'is less than or equal to', 'is less than', 'is equal to'{} 'lambda'"
)
WHOLE_PARTS = "is compared in whole parts, and knows no '*'"
NO_TEMPLATE = "is no template; 'fields' compares parts of the message"
OF_FIELD = "'count distinct', 'sum', 'largest', 'smallest' or 'lambda'"
AND = OF_FIELD.replace(" or ", " and ")
OPERATIONS = f"'count distinct days', 'longest streak of days', {OF_FIELD}"
MAPPING = "is a mapping, and this is"
COMBINE = "; combine several with 'all' or 'any'"
SIGN = "unknown key '{}' in a condition; did you mean"
COLON = "a text with ': ' in it needs quotes around it"
ALONE = "write the expression alone, without 'lambda …:', and put it in quotes"
WITHIN = "a lambda within braces needs quotes around it"
SEVERAL = "; to name several, write "


def criteria(
    filter_: str = "{topics: [a]}", operation: str = "count", condition: str = "{equal to: 1}"
) -> str:
    return f"criteria:\n  filter: {filter_}\n  operation: {operation}\n  condition: {condition}\n"


# The form of a message


def test_a_mistake_is_one_line_with_its_place_and_what_was_meant():
    lines = [METADATA.rstrip(), TRIGGER.rstrip(), "critera:", "  filter:", "    topics: [a]"]
    assert mistakes("\n".join(lines)) == [
        f"{PATH}:7:1: unknown key 'critera' in a rule; did you mean 'criteria'?",
    ]


def test_all_mistakes_are_reported_in_the_order_of_the_file():
    assert_mistakes(
        "→nme: Test Badge\n"
        "trigger:\n"
        "  any:\n"
        "    - →topc: git.receive\n"
        "    - lambda: msg +→* 1\n"
        "    - category: →7\n"
        "criteria:\n"
        "  filter: {topics: ['→%(topic']}\n"
        "  operation: →cont\n"
        "  condition: {greater than: →many}\n"
        "recipient: →alice\n"
        "tags: →7\n",
        "unknown key 'nme' in a rule; did you mean 'name'?",
        f"unknown key 'topc' in a trigger; did you mean 'topic'? There are "
        f"{TRIGGERS.replace(' or ', ' and ')}",
        "the lambda does not compile: invalid syntax",
        "a category is text, and this is a number, '7' (quotes make it text)",
        "a template that does not end in ')s'; write it as %(msg.user)s",
        "'cont' is no operation; did you mean 'count'?",
        "'greater than' compares with a number, and this is 'many'",
        "a recipient is a template such as '%(msg.user)s'",
        "'tags' is a list, or words split by commas",
    )


def test_a_mistake_is_one_line_whatever_the_file_has():
    found = mistakes(complete('"a\\nrule.yml:1:1: b": 1\n' + "c" * 900 + ": 1\n"))
    assert [line.partition(" in a rule")[0] for line in found] == [
        f"{PATH}:1:1: unknown key 'a\\nrule.yml:1:1: b'",
        f"{PATH}:2:1: unknown key '{'c' * 37}...'",
    ]


# YAML


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty; a rule is a mapping"),
        ("\n# nothing\n", "1:1: the file is empty; a rule is a mapping"),
        ("- a\n", "1:1: a rule is a mapping, and this is a list"),
        ("\n\n  text\n", "3:3: a rule is a mapping, and this is a single value"),
        ("---\n", "2:1: a rule is a mapping, and this is a single value"),
        (
            METADATA + TRIGGER + CRITERIA + "---\nname: b\n",
            "9:1: a second document; a rule file holds exactly one",
        ),
        (b"name: a\ndescription: \xff\n", "2:14: byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbfname: a\ndescr\xc3\xa9 \xff\n", "2:8: byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbf\xc3\xa9\xff", "1:2: byte 0xff is not UTF-8"),
        (b"name: \xc3", "1:7: byte 0xc3 is not UTF-8"),
        ("name: a".encode("utf-16"), "1:1: byte 0xff is not UTF-8"),
        (b"name: \xed\xa0\x80\n", "1:7: byte 0xed is not UTF-8"),
        ("name: a\x00b\n", "1:8: YAML does not allow U+0000 here"),
        ("name: a\ndescription: é\x1b[0m\n", "2:15: YAML does not allow U+001B here"),
        ("name: \ufffe\n", "1:7: YAML does not allow U+FFFE here"),
        ("a: *b\n", "1:4: not valid YAML: found undefined alias"),
        ("? [a]\n: b\n", "1:3: a key is a single value, and this is a list"),
        ("<<: a\n", "1:5: '<<' merges a mapping, and this is a single value"),
        ("<<: [{}, a]\n", "1:10: '<<' merges a mapping, and this is a single value"),
        ("name: !!int a\n", "1:7: 'a' is not a valid int"),
        ("name: !!int ''\n", "1:7: '' is not a valid int"),
        ("name: !!float ''\n", "1:7: '' is not a valid float"),
        ("name: !!seq a\n", "1:7: 'a' is not a valid seq"),
        ("name: !!bool a\n", "1:7: 'a' is not a valid bool"),
        ("name: !!timestamp a\n", "1:7: 'a' is not a valid timestamp"),
        ("name: !!binary é\n", "1:7: 'é' is not a valid binary"),
        ("name: 2023-02-30\n", "1:7: '2023-02-30' is not a valid timestamp"),
        ("name: !!python/object:os.system a\n", "1:7: 'a' is not a valid os.system"),
        ("name: !mine a\n", "1:7: 'a' is not a valid !mine"),
        ("name: " + "1" * 101, f"1:7: '{'1' * 37}...' is not a valid int"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_file_that_is_not_one_mapping_is_a_mistake(text, expected):
    assert mistakes(text) == [f"{PATH}:{expected}"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: a\ndescription: b: c\n", "2:15"),
        ("name: a\n\ttrigger: b\n", "2:1"),
        ("name: 'a\n", "2:1"),
        ("name: [a\ntrigger: b\n", "2:8"),
        ("name: a\n  trigger: b\n", "2:10"),
        ("trigger:\n  lambda: %(msg)s\n", "2:11"),
        ('trigger:\n  lambda: "a" in msg\nname: @b\n', "3:7"),
        ('trigger: {lambda: "a" in msg}\n', "1:23"),
        ("%YAML 3.0\n---\na: b\n", "1:1"),
        ("a: !x!y b\n", "1:4"),
    ],
)
def test_a_file_that_is_not_yaml_is_a_mistake(text, place):
    (found,) = mistakes(text)
    assert found.startswith(f"{PATH}:{place}: not valid YAML: ")
    assert "\n" not in found


def test_a_duplicate_key_is_reported_with_the_line_of_the_first():
    assert_mistakes(
        "tags: a\n→tags: b\ntrigger:\n  topic: a\n  →topic: b\n",
        "duplicate key 'tags', first in line 1",
        "duplicate key 'topic', first in line 4",
    )


def test_keys_beside_a_merge_key_win():
    rule = load(
        "trigger: {any: [&base {topic: a.b}, {<<: *base}, {<<: *base, topic: c.d}]}\n"
        "criteria:\n"
        "  any:\n"
        "  - datanommer: &first {filter: {topics: [a]}, operation: count, condition: {is not: 5}}\n"
        "  - datanommer: {<<: *first, condition: {is not: 6}}\n"
        "  - datanommer: {<<: [{condition: {is not: 7}}, *first]}\n"
    )
    assert [topic.suffix for topic in rule.trigger.parts] == ["a.b", "a.b", "c.d"]
    assert [part.criterion.condition.threshold for part in rule.criteria.parts] == [5, 6, 7]


def test_an_alias_stands_for_what_it_names():
    rule = load("trigger: {any: [{topic: &git git.receive}, {not: {topic: *git}}]}")
    assert rule.trigger.parts[1].part == rule.trigger.parts[0]


def test_line_ends_of_windows_and_old_macs_are_read():
    for end in ("\r\n", "\r"):
        text = complete('trigger:\n  lambda: "a" in json.dumps(msg)\nnme: 1\n').replace("\n", end)
        (found,) = mistakes(text)
        assert found.startswith(f"{PATH}:3:1: unknown key 'nme'")


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    text = b"\xef\xbb\xbf" + complete("nme: 1\n").encode()
    (found,) = mistakes(text)
    assert found.startswith(f"{PATH}:1:1: unknown key 'nme'")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("description: You: the true one\n", COLON),
        ("trigger:\n  lambda: msg['topic'] == 'a: b'\n", COLON),
        ("trigger:\n  lambda: lambda msg: msg['i']\n", ALONE),
        ("trigger: {lambda: lambda msg: msg['i']}\n", ALONE),
        ("trigger: {lambda: msg['i'] == 1}\n", WITHIN),
        ("trigger: {lambda: 'a' in msg}\n", WITHIN),
        ("trigger: {all: [{lambda: msg['i']}, {topic: a}]}\n", WITHIN),
        ("trigger:\n  lambda: {'a': 1}['a']\n", "a lambda that begins with a bracket needs quotes"),
        ("recipient: %(msg.user)s\n", "a text that begins with '%' needs quotes around it"),
        ("description: @alice\n", "a text that begins with '@' needs quotes around it"),
        ("description: *new*\n", "a text that begins with '*', '&' or '!' needs quotes"),
        (
            "description: 'You' are\n",
            "a text that begins with a quote needs quotes around the whole",
        ),
        ("trigger:\n\ttopic: a\n", "indent by blanks, not by tabs"),
        (criteria(condition="{>=: 5}"), "write 'greater than or equal to' for '>='"),
        (criteria(condition="\n    >=: 5"), "write 'greater than or equal to' for '>='"),
        (criteria(condition=">= 5"), "write 'greater than or equal to' for '>='"),
        (criteria(condition="\n    > 5"), "write 'greater than' for '>'"),
    ],
)
@pytest.mark.parametrize("loader", [document.LOADER, yaml.SafeLoader], ids=["default", "pure"])
def test_a_file_that_is_not_yaml_has_a_hint_what_to_write(monkeypatch, text, hint, loader):
    monkeypatch.setattr(document, "LOADER", loader)
    (found,) = mistakes(complete(text))
    assert re.match(rf"{PATH}:\d+:\d+: not valid YAML: .*; {re.escape(hint)}", found)


def test_a_file_of_tests_is_no_rule(tmp_path):
    for name in ("rule.yml.test", "rule.yaml.test"):
        with pytest.raises(RuleError) as raised:
            load_file(tmp_path / name, PARSING)
        path = tmp_path / name
        assert str(raised.value) == (
            f"{path}:1:1: this is a file of tests; run 'fedbadges test {path}'"
        )


# Metadata


@pytest.mark.parametrize("key", ["name", "description", "creator", "discussion", "image_url"])
def test_metadata_is_required_and_is_text(key):
    whole = complete("")
    without = "".join(line for line in whole.splitlines(True) if not line.startswith(key + ":"))
    assert mistakes(without) == [f"{PATH}:1:1: missing key '{key}' in a rule"]
    assert_mistakes(
        f"{key}: →7\n", f"'{key}' is text, and this is a number, '7' (quotes make it text)"
    )
    assert_mistakes(
        f"{key}: →yes\n", f"'{key}' is text, and this is a truth value, 'yes' (quotes make it text)"
    )
    assert_mistakes(f"{key}: →[a]\n", f"'{key}' is text, and this is a list")
    assert_mistakes(f"{key}: →{{a: b}}\n", f"'{key}' is text, and this is a mapping")
    assert_mistakes(f"{key}:→\n", f"'{key}' is text, and this is empty")
    assert_mistakes(f"{key}: '→  '\n", f"'{key}' is empty")


def test_a_rule_has_a_trigger():
    assert mistakes(METADATA + CRITERIA) == [f"{PATH}:1:1: missing key 'trigger' in a rule"]


def test_criteria_that_are_empty_are_not_missing():
    assert_mistakes("criteria:→\n", "criteria is a mapping, and this is empty")


def test_an_unknown_key_unlike_any_other_is_reported_with_all_keys():
    assert_mistakes("→zzz: 1\n", f"unknown key 'zzz' in a rule; expected {RULE_KEYS}")
    assert_mistakes("→7: 1\n", f"unknown key '7' in a rule; expected {RULE_KEYS}")
    assert_mistakes("→~: 1\n", f"unknown key '~' in a rule; expected {RULE_KEYS}")
    assert_mistakes("→yes: 1\n", f"unknown key 'yes' in a rule; expected {RULE_KEYS}")


@pytest.mark.parametrize("key", ["description", "discussion", "image_url"])
def test_metadata_longer_than_tahrirs_columns_is_a_mistake(key):
    assert mistakes(complete(f"{key}: {'é' * 128}\n")) == []
    assert mistakes(complete(f"{key}: |\n  {'é' * 128}\n")) == []
    assert_mistakes(f"{key}: →{'é' * 129}\n", f"'{key}' has 129 characters; tahrir holds 128")


def test_a_name_whose_id_is_too_long_for_tahrir_is_a_mistake():
    assert load(f"name: {'A b' * 38}\n").badge.id == "a-b" * 38
    assert_mistakes(
        f"name: →{'a' * 115}\n", "'name' makes an id of 115 characters; tahrir holds 114"
    )
    assert_mistakes("name: '→?!'\n".replace("!", ""), "'name' leaves nothing for the badge's id")


@pytest.mark.parametrize("key", ["name", "description", "discussion", "creator", "image_url"])
def test_metadata_that_no_database_holds_is_a_mistake(key):
    assert f"{PATH}:1:{len(key) + 3}: '{key}' has U+0000, which no database holds" in mistakes(
        complete(f'{key}: "a\\0b"\n')
    )


def test_a_name_is_one_line():
    assert_mistakes('name: →"a\\nb"\n', "'name' is one line of printable characters")
    assert load("name: >\n  Test\n  Badge\n").badge.id == "test-badge"


def test_tags_are_a_list_or_words_split_by_commas():
    assert load("tags: Git, commit ,git,\n").badge.tags == ("commit", "git")
    assert load("tags: [Git, two words]\n").badge.tags == ("git", "two words")
    assert load("").badge.tags is None
    assert_mistakes(
        "tags: [a, →7]\n", "a tag is text, and this is a number, '7' (quotes make it text)"
    )
    assert_mistakes("tags: →{a: b}\n", "'tags' is a list, or words split by commas")
    assert_mistakes(f"tags: [→{'a' * 129}]\n", "a tag has 129 characters; tahrir holds 128")


# Triggers


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("→git.receive", f"a trigger {MAPPING} text"),
        ("→[]", f"a trigger {MAPPING} a list{COMBINE}"),
        ("→{}", f"a trigger is empty; expected at least one of {TRIGGERS}"),
        ("{→zzz: a}", f"unknown key 'zzz' in a trigger; expected {TRIGGERS}"),
        ("{any: →[]}", "'any' is empty; it takes at least one"),
        ("{all: →[]}", "'all' is empty; it takes at least one"),
        ("{all: →{topic: a}}", "'all' takes a list, and this is a mapping"),
        ("{any: →git}", "'any' takes a list, and this is text"),
        ("{any: [→git]}", f"a trigger {MAPPING} text"),
        ("{not: →{}}", f"a trigger is empty; expected at least one of {TRIGGERS}"),
        ("{not: →[{topic: a}]}", f"a trigger {MAPPING} a list{COMBINE}"),
        ("{not: {any: [{not: {all: →[]}}]}}", "'all' is empty; it takes at least one"),
        ("{topic: →[a]}", f"a topic is text, and this is a list{SEVERAL}'topic: {{any: […]}}'"),
        (
            "{not: {category: →[a, b]}}",
            f"a category is text, and this is a list{SEVERAL}'category: {{any: […]}}'",
        ),
        ("{topic: ''}".replace("''", "'→'"), "a topic is empty"),
        ("{topic: →1.5}", "a topic is text, and this is a number, '1.5' (quotes make it text)"),
        (
            "{topic: {→some: [a]}}",
            "unknown key 'some' in a 'topic'; expected 'all', 'any' or 'not'",
        ),
        ("{topic: →{}}", "a 'topic' is empty; expected exactly one of 'all', 'any' or 'not'"),
        ("{category: {any: →[]}}", "'any' is empty; it takes at least one"),
        (
            "{category: {any: [a, →7]}}",
            "a category is text, and this is a number, '7' (quotes make it text)",
        ),
        ("{topic: git.→*}", f"a topic {WHOLE_PARTS}"),
        ("{category: '→*'}", f"a category {WHOLE_PARTS}"),
        ("{topic: '→%(topic)s'}", f"a topic {NO_TEMPLATE}"),
        ("{category: {any: [git, '→%(msg.x)s']}}", f"a category {NO_TEMPLATE}"),
        ("{topic: ' git.receive→ bodhi '}", "a topic has no blanks"),
        ("{category: git→ wiki}", "a category has no blanks"),
        (
            "{category: git→.receive}",
            "a category is one part of a topic, such as 'git'; a 'topic' may have several",
        ),
        ("{lambda: →[msg]}", "a lambda is text, and this is a list (quotes make it text)"),
        ("{lambda: →{a: b}}", "a lambda is text, and this is a mapping (quotes make it text)"),
        ("{lambda: →len(a, b)}", "a lambda with a comma within braces needs quotes around it"),
        ("{lambda: →1}", "a lambda is text, and this is a number, '1' (quotes make it text)"),
        ("{lambda: '→ '}", "a lambda is empty"),
    ],
)
def test_mistakes_in_a_trigger(trigger, expected):
    assert_mistakes(f"trigger: {trigger}\n", expected)


def test_an_empty_trigger_is_a_mistake():
    assert_mistakes("trigger:→\n", f"a trigger {MAPPING} empty")


# Criteria


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("→[]", f"criteria {MAPPING} a list{COMBINE}"),
        ("→{}", "criteria is empty; expected exactly one of 'datanommer', 'all', 'any' or 'not'"),
        (
            "{→datanomer: {}}",
            "unknown key 'datanomer' in criteria; did you mean 'datanommer'? "
            "There are 'datanommer', 'all', 'any' and 'not'",
        ),
        (
            "{→zzz: {}}",
            "unknown key 'zzz' in criteria; expected 'datanommer', 'all', 'any' or 'not'",
        ),
        ("{all: →[]}", "'all' is empty; it takes at least one"),
        ("{not: →count}", f"criteria {MAPPING} text"),
        ("{any: [{not: {any: →[]}}]}", "'any' is empty; it takes at least one"),
        ("{datanommer: →count}", f"'datanommer' {MAPPING} text"),
        (
            "→{filter: {topics: [a]}, operation: count}",
            "missing key 'condition' in datanommer criteria",
        ),
        (
            "→{filter: {topics: [a]}, condition: {equal to: 1}}",
            "missing key 'operation' in datanommer criteria",
        ),
        (
            "→{operation: count, condition: {equal to: 1}}",
            "missing key 'filter' in datanommer criteria",
        ),
        (
            "{filter: {topics: [a]}, operation: count, condition: {equal to: 1}, →all: []}",
            "unknown key 'all' in datanommer criteria; expected 'filter', 'operation' or "
            "'condition'",
        ),
    ],
)
def test_mistakes_in_criteria(text, expected):
    assert_mistakes(f"criteria: {text}\n", expected)


TAKES = "takes a list, a template or a lambda"
BETWEEN = "'end' is before 'start'; no message was sent between them"
MOMENT = "is a date, seconds since 1970, an age such as '30 days ago' or a template"


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ("→{}", "a filter is empty; it would count every message there is"),
        ("→[a]", f"a filter {MAPPING} a list"),
        (
            "{→topcs: [a]}",
            "unknown key 'topcs' in a filter; did you mean 'topics'? There are "
            + WHAT_FILTERS_HAVE.format(" and"),
        ),
        (
            "{→zzz: [a]}",
            "unknown key 'zzz' in a filter; expected " + WHAT_FILTERS_HAVE.format(" or"),
        ),
        ("{topics: →a}", f"'topics' {TAKES}"),
        ("{topics: →[]}", "'topics' is empty; it takes at least one"),
        ("{topics: →7}", "'topics' is text, and this is a number, '7' (quotes make it text)"),
        ("{topics: →null}", "'topics' is text, and this is empty"),
        ("{topics: [a, →[b]]}", "an item of 'topics' is text, and this is a list"),
        ("{topics: [→null]}", "an item of 'topics' is text, and this is empty"),
        (
            "{topics: {→lamda: a}}",
            "unknown key 'lamda' in 'topics'; did you mean 'lambda'? There are 'lambda'",
        ),
        ("{topics: {lambda: msg +→* 1}}", "the lambda does not compile: invalid syntax"),
        ("{users: [a], →usernames: [b]}", "'usernames' says again what 'users' says"),
        ("{start: →soon}", f"'start' {MOMENT}"),
        ("{start: →yes}", f"'start' {MOMENT}"),
        ("{end: →[2023-01-01]}", f"'end' {MOMENT}"),
        ("{end: →999999 years ago}", f"'end' {MOMENT}"),
        ("{end: →1.0e+300}", f"'end' {MOMENT}"),
        ("{start: 2023-01-01, end: →.inf}", f"'end' {MOMENT}"),
        ("{start: 2024-01-02, end: →2024-01-01}", BETWEEN),
        ("{start: 2024-01-01 10:00:00, end: →1700000000}", BETWEEN),
        ("{end: →30 days ago, start: 1 week ago}", BETWEEN),
        ("{topics: [a], page: →0}", "'page' is a whole number, at least 1"),
        ("{topics: [a], rows_per_page: →1.5}", "'rows_per_page' is a whole number, at least 0"),
        ("{topics: [a], rows_per_page: →yes}", "'rows_per_page' is a whole number, at least 0"),
        ("{topics: [a], order: →up}", "'order' is 'asc' or 'desc'"),
        ("{msg_id: →[a]}", "'msg_id' is text, and this is a list"),
    ],
)
def test_mistakes_in_a_filter(filter_, expected):
    assert_mistakes(criteria(filter_=filter_), expected)


def test_start_may_equal_end_or_depend_on_the_message():
    for times in (
        "start: 2024-01-01, end: 2024-01-01",
        "start: 2 days ago, end: 1 day ago",
        "start: 1 day ago, end: 2024-01-01",
        "start: '%(msg.a)s', end: 2024-01-01",
        "end: 2024-01-01",
    ):
        assert mistakes(complete(criteria(filter_=f"{{{times}}}"))) == []


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("→sum", "'sum' takes the path of a field, as in 'sum: msg.lines'"),
        (
            "→longest streak",
            "'longest streak' is no operation; did you mean 'longest streak of days'?",
        ),
        (
            "→[count]",
            "an operation is one, such as 'count' or 'sum: msg.lines', and this is a list",
        ),
        ("→7", f"'7' is no operation; expected 'count', {OPERATIONS}"),
        ("→{}", f"an operation is empty; expected exactly one of {OF_FIELD}"),
        (
            "{→sun: msg.n}",
            f"unknown key 'sun' in an operation; did you mean 'sum'? There are {AND}",
        ),
        ("{sum: →7}", "'sum' is text, and this is a number, '7' (quotes make it text)"),
        ("{sum: →msg..n}", "'msg..n' is no path; one is written as 'msg.commit.branch'"),
        (
            "{largest: →users}",
            "'largest' takes a path of a past message, which begins with 'msg' or 'topic'",
        ),
        (
            "{lambda: query, →zzz: 1}",
            f"unknown key 'zzz' in an operation; expected {OF_FIELD}\n"
            "an operation has exactly one key, and 'zzz' stands beside 'lambda'",
        ),
        ("{lambda: len(query→}", "'(' was never closed"),
    ][:-1],
)
def test_mistakes_in_an_operation(operation, expected):
    texts = expected.split("\n")
    found = criteria(operation=operation)
    before = found.split(HERE)[0]
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    assert mistakes(complete(found.replace(HERE, ""))) == sorted(
        f"{PATH}:{place}: {text}" for text in texts
    )


NO_TEMPLATES = "a condition knows 'value' alone; templates stand in filters and operations"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("→5", f"a condition {MAPPING} a number, '5' (quotes make it text)"),
        (
            "→{}",
            f"a condition is empty; expected exactly one of {CONDITIONS.format(' or')}",
        ),
        (
            "{→greater then: 5}",
            "unknown key 'greater then' in a condition; did you mean 'greater than'? There are "
            + CONDITIONS.format(" and"),
        ),
        (
            "{→zzz: 5}",
            f"unknown key 'zzz' in a condition; expected {CONDITIONS.format(' or')}",
        ),
        ("{'→>=': 5}", f"{SIGN.format('>=')} 'greater than or equal to'?"),
        ("{'→>': 5}", f"{SIGN.format('>')} 'greater than'?"),
        ("{→<=: 5}", f"{SIGN.format('<=')} 'less than or equal to'?"),
        ("{→<: 5}", f"{SIGN.format('<')} 'less than'?"),
        ("{→==: 5}", f"{SIGN.format('==')} 'equal to'?"),
        ("{'→!=': 5}", f"{SIGN.format('!=')} 'is not'?"),
        ("\n    →!=: 5", f"{SIGN.format('!=')} 'is not'?"),
        ("{→at least: 5}", f"{SIGN.format('at least')} 'greater than or equal to'?"),
        ("'→>= 5'", f"a condition {MAPPING} '>= 5'; write 'greater than or equal to: …'"),
        ("→< 5", f"a condition {MAPPING} '< 5'; write 'less than: …'"),
        ("{lambda: →min(value, 5)}", "a lambda with a comma within braces needs quotes around it"),
        (
            "{less than: 5, →greater than: 1}",
            "a condition has exactly one key, and 'greater than' stands beside 'less than'",
        ),
        ("{less than: →five}", "'less than' compares with a number, and this is 'five'"),
        (
            "{less than: '→5'}",
            "'less than' compares with a number, and this is '5'; remove the quotes",
        ),
        (
            '{less than: "→-0.5"}',
            "'less than' compares with a number, and this is '-0.5'; remove the quotes",
        ),
        ("{less than: '→05'}", "'less than' compares with a number, and this is '05'"),
        ("{less than: →yes}", "'less than' compares with a number, and this is 'yes'"),
        ("{less than: →[5]}", "'less than' compares with a number, and this is a list"),
        ("{less than: →.nan}", "'less than' compares with a number, and this is none"),
        ("{less than: →}", "'less than' compares with a number, and this is ''"),
        ("{lambda: →5}", "a lambda is text, and this is a number, '5' (quotes make it text)"),
        ("{lambda: value +→* 1}", "the lambda does not compile: invalid syntax"),
        ("{lambda: 'value == \"→%(msg.user)s\"'}", NO_TEMPLATES),
        ("{lambda: value > →%(msg.needed)s}", NO_TEMPLATES),
    ],
)
def test_mistakes_in_a_condition(condition, expected):
    assert_mistakes(criteria(condition=condition), expected)


# Templates and recipients


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("→%(msg.user", "a template that does not end in ')s'; write it as %(msg.user)s"),
        ("by →%(msg.user)", "a template that does not end in ')s'; write it as %(msg.user)s"),
        ("%(topic)s →%(msg.n)d", "a template that does not end in ')s'; write it as %(msg.user)s"),
        ("→%(%(msg.user)s", "a template that does not end in ')s'; write it as %(msg.user)s"),
        ("→%()s", "'%()s' names no path; write it as %(msg.user)s"),
        ("a →%(msg..user)s", "'%(msg..user)s' names no path; write it as %(msg.user)s"),
        ("→%(.msg)s", "'%(.msg)s' names no path; write it as %(msg.user)s"),
    ],
)
def test_mistakes_in_a_template(text, expected):
    assert_mistakes(f"recipient: '{text}'\n", expected)
    assert_mistakes(criteria(filter_=f"{{users: ['{text}']}}"), expected)
    assert_mistakes(criteria(operation="\n    lambda: " + f"\"len('{text}')\""), expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("recipient: →alice\n", "a recipient is a template such as '%(msg.user)s'"),
        (
            "recipient: '→%(recipient)s'\n",
            "'%(recipient)s' stands for whom the recipient names, nobody yet",
        ),
        ("recipient:→\n", "a recipient is text, and this is empty"),
        ("→recipient_nick2fas: Yes\n", "'recipient_nick2fas' needs a 'recipient' to convert"),
        (
            "recipient: '%(msg.user)s'\nrecipient_krb2fas: →maybe\n",
            "'recipient_krb2fas' is Yes or No",
        ),
        (
            "recipient: '%(msg.user)s'\n→recipient_irc2fas: Yes\n",
            "unknown key 'recipient_irc2fas' in a rule; did you mean 'recipient_nick2fas'?",
        ),
    ],
)
def test_mistakes_in_a_recipient(text, expected):
    assert_mistakes(text, expected)


# Whatever the input: no traceback, and an answer within seconds


def nested_by_aliases(levels: int, steps: int) -> str:
    lines = ["x0: &a0 {topic: x}"]
    for step in range(1, steps):
        whole = "{not: " * levels + f"*a{step - 1}" + "}" * levels
        lines.append(f"x{step}: &a{step} {whole}")
    return "\n".join([*lines, f"trigger: *a{steps - 1}", ""])


def bomb(width: int, levels: int) -> str:
    lines = ["x0: &a0 [a]"]
    for level in range(1, levels):
        items = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"x{level}: &a{level} [{items}]")
    return "\n".join(lines) + "\n"


def lambdas(expression: str, count: int = 1) -> str:
    lines = [f"  - lambda: '{expression}'\n" for _ in range(count)]
    return "trigger:\n  any:\n" + "".join(lines)


def operation(expression: str) -> str:
    return criteria(operation=f"{{lambda: '{expression}'}}")


BIG = MAX_BYTES - 2000
EXPLOSIVE = {
    "lists in lists": "[" * BIG,
    "lists in lists, as a block": "- " * (BIG // 2),
    "mappings in mappings": "{a: " * (BIG // 4),
    "keys of keys": "? " * (BIG // 2),
    "aliases of aliases": bomb(10, 20),
    "aliases that nest": nested_by_aliases(45, 14),
    "aliases of one long text": "x: &a " + "b" * 40_000 + "\ny: [" + "*a, " * 9000 + "]\n",
    "merges of merges": "x: &a {<<: {}}\n" + "y: {<<: [" + "*a, " * 9000 + "]}\n",
    "documents": "---\n" * (BIG // 4),
    "anchors": "".join(f"k{number}: &a{number} a\n" for number in range(50_000)),
    "unknown keys": "".join(f"critera{number}: 1\n" for number in range(40_000)),
    "few unknown keys": "".join(f"critera{number}: 1\n" for number in range(3_000)),
    "one long key": "? " + "a" * BIG + "\n: 1\n",
    "a long key": "? " + "a" * 40_000 + "\n: 1\n",
    "blanks": " " * BIG,
    "line ends": "\n" * BIG,
    "a comment": "#" * BIG,
    "tabs": "\t" * BIG,
    "quotes": "'" * BIG,
    "lambda and blanks": 'lambda: "' + " " * BIG + "x\n",
    "many lambda lines": "lambda: 'a' in b\n" * (BIG // 17),
    "dashes before a lambda": "- " * (BIG // 2) + "lambda: 'a' in b",
    "a long number": "tags: " + "1" * BIG,
    "a number in base 60": "tags: 1" + ":1" * (BIG // 2),
    "a shorter number in base 60": "tags: 1" + ":1" * 20_000,
    "templates": "recipient: '" + "%(a)s" * (BIG // 5) + "'\n",
    "some templates": "recipient: '" + "%(a)s" * 9000 + "'\n",
    "broken templates": "recipient: '" + "%(" * 20_000 + "'\n",
    "empty templates": "recipient: '" + "%()s" * 10_000 + "'\n",
    "a long path": "recipient: '%(" + "a." * 20_000 + "a)s'\n",
    "a long lambda": lambdas("[" + "1," * (BIG // 2) + "]"),
    "a lambda as long as may be": lambdas("[" + "x," * 20_000 + "]"),
    "many lambdas": lambdas("[" + "1," * 200 + "]", 100),
    "a lambda with many operators": lambdas("+".join("x" * 20_000)),
    "a lambda with many parentheses": lambdas("(" * 40_000),
    "a lambda with many signs": lambdas("-" * 40_000 + "1"),
    "a lambda with a huge power": lambdas("2 ** 10 ** 10, " * 100),
    "a lambda with a huge text": lambdas('"a" * 10 ** 9'),
    "an operation with many templates": operation("[" + "%(a)s," * 6000 + "]"),
    "an operation with many texts": operation('"%(a)s"' * 4000),
    "an operation with odd names": operation("_template" + "_" * 40_000),
    "an operation with odder names": operation("".join("_template" + "_" * n for n in range(250))),
    "a long topic": "trigger: {topic: " + "a." * 20_000 + "a}\n",
    "many operators": "trigger: {any: [" + "{topic: a}, " * 3000 + "]}\n",
    "a long list": criteria(filter_="{topics: [" + "a, " * 9000 + "]}"),
    "bytes": bytes(range(256)) * 4000,
    "noise": "".join(random.Random(1).choices(string.printable, k=BIG)),
    "too much": " " * (MAX_BYTES + 1),
}


@pytest.mark.parametrize("what", EXPLOSIVE)
@pytest.mark.parametrize("whole", [False, True], ids=["alone", "in a rule"])
def test_no_input_takes_more_than_5_seconds(what, whole):
    text = EXPLOSIVE[what]
    if whole and isinstance(text, str):
        text = complete(text) if text.count("\n") < 1000 else complete("") + text
    data = text if isinstance(text, bytes) else text.encode()
    before = time.process_time()
    found = mistakes(data)
    assert time.process_time() - before < 5
    assert all(len(line) < 1000 for line in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" " * (MAX_BYTES + 1), f"1:1: the file has more than {MAX_BYTES} bytes"),
        (
            "[" * 60 + "]" * 60,
            f"1:{MAX_DEPTH + 1}: nested more than {MAX_DEPTH} levels deep",
        ),
        ("[" + "a, " * 10_001 + "]", f"1:29999: more than {MAX_NODES} values in one rule"),
        (
            "a: &b [[[c]]]\nd: " + "[" * 47 + "*b" + "]" * 47,
            f"1:9: nested more than {MAX_DEPTH} levels deep",
        ),
        ("a: &b [*b]\n", f"1:4: nested more than {MAX_DEPTH} levels deep"),
        (bomb(10, 5), f"1:5: more than {MAX_NODES} values in one rule"),
    ],
    ids=["bytes", "levels", "values", "levels by aliases", "a cycle", "values by aliases"],
)
def test_a_file_beyond_the_limits_is_a_mistake(text, expected):
    assert mistakes(text) == [f"{PATH}:{expected}"]


def test_a_file_of_exactly_the_most_bytes_is_loaded():
    whole = complete("")
    assert mistakes(whole + "#" * (MAX_BYTES - len(whole))) == []
    assert mistakes(whole + "#" * (MAX_BYTES - len(whole) + 1)) != []


def test_mistakes_are_the_same_where_pyyaml_has_no_libyaml(monkeypatch):
    monkeypatch.setattr(document, "LOADER", yaml.SafeLoader)
    assert_mistakes(
        "tags: →7\ntrigger: {topic: '→'}\nrecipient: \"→%(a\"\n→nme: 1\n",
        "'tags' is a list, or words split by commas",
        "a topic is empty",
        "a template that does not end in ')s'; write it as %(msg.user)s",
        "unknown key 'nme' in a rule; did you mean 'name'?",
    )
    assert "'description' has U+D800, which no database holds" in "\n".join(
        mistakes(complete('description: "a\\ud800"\n'))
    )
