"""``check --fix``: what becomes of a lambda, and that nothing else in the file changes."""

import textwrap
from typing import Any

import pytest
import yaml
from support.fixing import body_of, fix, trigger_of
from support.rule_text import METADATA, PARSING, complete

from fedbadges.lint.fixes.fixer import Fixer

GET = "msg.get('msg', {}).get"


def question_of(operation: str, **filter_: Any) -> Any:
    """Return a filter and an operation after those of a lambda."""
    chosen = {"topics": ["%(topic)s"], "usernames": ["%(msg.user)s"], **filter_}
    asked = {"filter": chosen, "operation": {"lambda": operation}, "condition": {"equal to": 1}}
    fixed = fix(yaml.safe_dump({"criteria": asked}, sort_keys=False, width=1000))
    found = body_of(fixed, "criteria")
    return found["filter"].get("fields"), found["operation"]


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("msg['msg']['new'] == 1", {"msg.new": 1}),
        (f"{GET}('new', None) is 1", {"msg.new": 1}),
        ("1 == msg['msg']['new']", {"msg.new": 1}),
        ("msg['msg']['status'] == 'closed'", {"msg.status": "closed"}),
        ("msg['msg']['old'] is None", {"msg.old": None}),
        (f"{GET}('karma', 0) > 0", {"msg.karma": {"greater than": 0}}),
        ("3 <= msg['msg']['n'] < 5", {"msg.n": {"greater than or equal to": 3, "less than": 5}}),
        (
            "len(msg['msg']['attendees']) >= 3",
            {"msg.attendees": {"length": {"greater than or equal to": 3}}},
        ),
        ("'x' in msg['msg']['fields']", {"msg.fields": {"contains": "x"}}),
        ("'status' in msg['msg']", {"msg.status": {"exists": True}}),
        ("'status' not in msg['msg']", {"msg.status": {"exists": False}}),
        ("msg['msg']['b'] in ['f18', 'f19']", {"msg.b": {"any": ["f18", "f19"]}}),
        ("msg['msg']['b'] in ('f18',)", {"msg.b": "f18"}),
        ("msg['msg']['b'] not in ('f18', None)", {"msg.b": {"not": {"any": ["f18", None]}}}),
        ("msg['msg']['p'].startswith('/srv')", {"msg.p": {"starts with": "/srv"}}),
        (
            "msg['msg']['p'].startswith(('/a', '/b'))",
            {"msg.p": {"any": [{"starts with": "/a"}, {"starts with": "/b"}]}},
        ),
        (
            f"not {GET}('p', '').endswith('.x')",
            {"msg.p": {"any": [{"not": {"ends with": ".x"}}, {"exists": False}]}},
        ),
        (
            f"{GET}('group') != 'cla'",
            {"msg.group": {"any": [{"is not": "cla"}, {"exists": False}]}},
        ),
        (f"{GET}('group', 'cla') != 'cla'", {"msg.group": {"is not": "cla"}}),
        (f"not {GET}('anonymous', True)", {"msg.anonymous": False}),
        (f"{GET}('done', False) is True", {"msg.done": True}),
        ("msg['msg']['a'] == 1 and msg['msg']['b'] == '100%'", {"msg.a": 1, "msg.b": "100%"}),
        ("msg['msg']['a'] == '%%(x'", {"msg.a": "%%(x"}),
        ("msg['msg']['files'][0] == 'a'", {"msg.files.0": "a"}),
        ("'wiki' in msg['topic']", {"topic": {"contains": "wiki"}}),
        ("msg['msg']['a'] != msg['msg']['b']", {"msg.a": {"is not": "%(msg.b)s"}}),
        (
            "any([msg['msg']['p'].startswith('a'), msg['msg']['p'].startswith('b')])",
            {"msg.p": {"any": [{"starts with": "a"}, {"starts with": "b"}]}},
        ),
        (
            "any(msg['msg']['p'].startswith(each) for each in ['a', 'b'])",
            {"msg.p": {"any": [{"starts with": "a"}, {"starts with": "b"}]}},
        ),
        (
            "msg['msg']['owner'].endswith('-bot') is False",
            {"msg.owner": {"not": {"ends with": "-bot"}}},
        ),
        ("(msg['msg']['a'] == 1) is True", {"msg.a": 1}),
        (
            "True == (msg['msg']['a'] == 1 and not msg['msg']['b'] > 2)",
            {"msg.a": 1, "msg.b": {"less than or equal to": 2}},
        ),
        ("(msg['msg']['a'] == 1) != True", {"msg.a": {"is not": 1}}),
        (
            "msg['msg']['b']['c'] == 'x' if 'b' in msg['msg'] else False",
            {"msg.b": {"exists": True}, "msg.b.c": "x"},
        ),
        (
            "False if msg['msg']['a'] == 1 else msg['msg']['b'] == 2",
            {"msg.a": {"is not": 1}, "msg.b": 2},
        ),
        ("True if msg['msg']['a'] == 1 else msg['msg']['a'] == 2", {"msg.a": {"any": [1, 2]}}),
        (
            "msg['msg']['a'] == 2 if msg['msg']['a'] != 1 else True",
            {"msg.a": {"any": [1, 2]}},
        ),
        ("msg['msg']['a'] > msg['msg']['b']", {"msg.a": {"greater than": "%(msg.b)s"}}),
        ("len(msg['msg']['who'].keys()) > 2", {"msg.who": {"length": {"greater than": 2}}}),
        ("'alice' in msg['msg']['who'].keys()", {"msg.who": {"contains": "alice"}}),
        ("msg['msg'].get('a', dict()).get('b') == 1", {"msg.a.b": 1}),
        ("msg['msg']['a'] in msg['msg']['b']", {"msg.b": {"contains": "%(msg.a)s"}}),
        ("msg['msg']['user'] == '%(msg.agent)s'", {"msg.user": "%(msg.agent)s"}),
    ],
)
def test_a_comparison_of_fields_is_fields(expression: str, fields: dict[str, Any]) -> None:
    assert trigger_of(expression) == {"fields": fields}


def test_alternatives_about_several_fields_are_an_any() -> None:
    assert trigger_of("msg['msg']['a'] == 1 or not msg['msg']['b'] == 2") == {
        "any": [{"fields": {"msg.a": 1}}, {"fields": {"msg.b": {"is not": 2}}}]
    }


def test_the_end_of_a_topic_is_a_topic() -> None:
    assert trigger_of("msg['topic'].endswith('.git.receive')") == {"topic": "git.receive"}
    assert trigger_of("msg['topic'].split('.')[-1] == 'new'") == {"topic": "new"}
    assert trigger_of("msg['topic'].endswith('receive')") == {
        "fields": {"topic": {"ends with": "receive"}}
    }


def test_a_value_that_is_taken_for_true_is_none_of_those_that_are_not() -> None:
    assert trigger_of("msg['msg']['by']") == {
        "fields": {"msg.by": {"not": {"any": [False, None, {"length": 0}]}}}
    }


def test_what_another_lambda_requires_need_not_be_asked_for_again() -> None:
    fixed = fix(
        f"""\
        trigger:
          all:
          - lambda: {GET}('owner', None) != None
          - lambda: {GET}('owner', None) != 'orphan'
          - lambda: {GET}('owner', None) != {GET}('user', None)
        recipient: "%(msg.user)s"
        """
    )
    assert body_of(fixed, "trigger")["all"] == [
        {"fields": {"msg.owner": {"is not": None}}},
        {"fields": {"msg.owner": {"is not": "orphan"}}},
        {"fields": {"msg.owner": {"is not": "%(msg.user)s"}}},
    ]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("query.count()", (None, "count")),
        ("len(query.all())", (None, "count")),
        ("len([m for m in query.all() if m.msg['new'] is 1])", ({"msg.new": 1}, "count")),
        ("sum(1 for m in query if m.msg['new'] == 1)", ({"msg.new": 1}, "count")),
        ("len({m.msg['repo'] for m in query.all()})", (None, {"count distinct": "msg.repo"})),
        (
            "len(set([m.msg['repo'] for m in query if m.msg['n'] > 1]))",
            ({"msg.n": {"greater than": 1}}, {"count distinct": "msg.repo"}),
        ),
        ("len({m.timestamp.date() for m in query})", (None, "count distinct days")),
        (
            "len(set(m.timestamp.strftime('%Y-%m-%d') for m in query.all()))",
            (None, "count distinct days"),
        ),
        (
            "len({m.timestamp.date().strftime('%Y%j') for m in query})",
            (None, "count distinct days"),
        ),
        ("len({m.timestamp.date().isoformat() for m in query})", (None, "count distinct days")),
        ("len({str(m.timestamp.date()) for m in query})", (None, "count distinct days")),
        ("sum(m.msg['karma'] for m in query.all())", (None, {"sum": "msg.karma"})),
        ("max(m.msg['lines'] for m in query)", (None, {"largest": "msg.lines"})),
        ("min([m.msg['lines'] for m in query])", (None, {"smallest": "msg.lines"})),
        (
            "len([m for m in query if m.msg['to'] == '%(msg.user)s' and m.msg['k'] is 1])",
            ({"msg.to": "%(msg.user)s", "msg.k": 1}, "count"),
        ),
    ],
)
def test_a_lambda_that_computes_has_an_operation(operation: str, expected: Any) -> None:
    assert question_of(operation) == expected


def test_the_value_of_a_filter_is_a_template() -> None:
    fixed = fix(
        """\
        criteria:
          filter:
            topics:
              lambda: "[msg['topic'], 'a.b']"  # both
            usernames: {lambda: "msg['msg']['people']"}
            msg_id:
              lambda: msg['msg_id']
          operation: count
          condition:
            lambda: value >= 5
        """
    )
    found = body_of(fixed, "criteria")
    assert found["filter"] == {
        "topics": ["%(topic)s", "a.b"],
        "usernames": "%(msg.people)s",
        "msg_id": "%(msg_id)s",
    }
    assert found["condition"] == {"greater than or equal to": 5}
    assert b"# both" in fixed.after


@pytest.mark.parametrize(
    "trigger",
    [
        "msg['msg']['a'] + 1 == 2",
        "msg['msg']['a'].lower() == 'x'",
        "json.dumps(msg) == '{}'",
        "msg['msg']['a b'] == 1",
        "msg['msg']['a.b'] == 1",
        "msg['msg']['a'] == [1, 2]",
        "msg['msg'].get('a', {'b': 1}).get('b') == 1",
        "isinstance(msg['msg']['a'], str)",
        "msg['msg']['a'] if msg['msg']['b'] == 1 else msg['msg']['c']",
    ],
)
def test_what_does_more_than_to_compare_stays(trigger: str) -> None:
    quoted = trigger.replace("'", "''")
    fixed = fix(f"trigger: {{lambda: '{quoted}'}}\n")
    assert fixed.after == fixed.before
    assert [place.line for place in fixed.left] == [1]


@pytest.mark.parametrize(
    "operation",
    [
        "len([m for m in query if m.msg['a'] == 1 or m.msg['b'] == 2])",
        "len([m.msg['a'] for m in query])",
        "len([m for m in query if m.msg['a'] == m.msg['b']])",
        "max([m.msg['a'] for m in query], default=0)",
        "query.first().msg['a']",
        "len({m.timestamp.strftime('%Y-%m') for m in query})",
        "len({m.timestamp.strftime('%Y-%m-%d %H') for m in query})",
        "len({m.timestamp.strftime('%m-%d') for m in query})",
        "len({m.timestamp.isoformat() for m in query})",
        "len([m for m in query if 'alice' in m.users])",
    ],
)
def test_an_operation_that_cannot_be_said_otherwise_stays(operation: str) -> None:
    assert question_of(operation) == (None, {"lambda": operation})


def test_a_page_of_messages_is_not_counted_otherwise() -> None:
    operation = "len([m for m in query if m.msg['a'] == 1])"
    assert question_of(operation, rows_per_page=10) == (None, {"lambda": operation})
    assert question_of(operation, rows_per_page=9999999) == ({"msg.a": 1}, "count")


def test_is_is_written_as_equals_in_what_stays() -> None:
    fixed = fix("trigger:\n  lambda: msg['i'] is 1 and msg['é'].lower() is not 'x'  # why\n")
    assert "lambda: msg['i'] == 1 and msg['é'].lower() != 'x'  # why" in fixed.after.decode()
    assert [str(change.place) for change in fixed.changes] == ["rule.yml:2:11"]


def test_misspelled_keys_are_mended() -> None:
    text = METADATA + textwrap.dedent(
        """\
        triger: {topc: a.b}  # a slip
        criteria:
          filter: {topics: [a], user: [b]}
          opreation: count
          condition: {">=": 5}
        """
    )
    fixed = Fixer(PARSING).fix(text.encode(), "rule.yml")
    meant = {"triger": "trigger", "topc": "topic", "user:": "users:", "opreation": "operation"}
    for wrong, right in {**meant, ">=": "greater than or equal to"}.items():
        text = text.replace(wrong, right)
    assert fixed.after.decode() == text
    assert str(fixed.changes[0]) == "rule.yml:6:1: the key 'triger' is 'trigger'"
    assert len(fixed.changes) == 5


def test_a_key_that_may_be_another_one_is_left() -> None:
    fixed = fix("recipient: '%(msg.user)s'\nrecipient_irc2fas: Yes\n")
    assert fixed.after == fixed.before


OLD = """\
%YAML 1.2
---

name:           Ring I   # a comment
description:    Built

# Only messages of this kind
trigger:
  all:
  - topic:  copr.build.end
  - lambda:   msg.get('msg', {}).get('status', None) is 1   # succeeded
  - lambda: "win" in msg['msg'].get('os', '')

criteria:
  datanommer:
      filter:
        topics:
        - "%(topic)s"     # of the message

        users: [ "%(msg.user)s" ]  # of the build
      # how many
      operation:
        lambda: >
          len([m for m in query.all()
               if m.msg['status'] is 1])
      condition:
        greater than or equal to:     5

recipient:  "%(msg.user)s"
"""
NEW = """\
%YAML 1.2
---

name:           Ring I   # a comment
description:    Built

# Only messages of this kind
trigger:
  all:
  - topic:  copr.build.end
  - fields:
      msg.status: 1   # succeeded
  - fields:
      msg.os: {contains: win}

criteria:
  datanommer:
      filter:
        topics:
        - "%(topic)s"     # of the message

        users: [ "%(msg.user)s" ]  # of the build
        fields:
          msg.status: 1
      # how many
      operation: count
      condition:
        greater than or equal to:     5

recipient:  "%(msg.user)s"
"""
REST = "creator: a\ndiscussion: b\nimage_url: c\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_comments_and_layout_stay(newline: str, bom: str) -> None:
    old, new = ((bom + (text + REST).replace("\n", newline)).encode() for text in (OLD, NEW))
    assert Fixer(PARSING).fix(old, "ring.yml").after == new


def test_a_fixed_rule_is_not_fixed_again() -> None:
    fixed = Fixer(PARSING).fix((NEW + REST).encode(), "ring.yml")
    assert (fixed.after, fixed.changes, fixed.left) == (fixed.before, (), ())


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"",
        b"- a\n",
        b"name: [\n",
        complete("trigger: {all: [&a {lambda: msg['i'] == 1}, *a]}\n").encode(),
        complete("trigger: {lambda: msg['i'] ==}\n").encode(),
    ],
)
def test_a_file_that_cannot_be_rewritten_is_left(body: bytes) -> None:
    assert Fixer(PARSING).fix(body, "rule.yml").after == body
