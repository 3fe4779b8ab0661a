"""What the linter finds in rules, and where."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from support.builders import make_config
from support.command import fedbadges
from support.databases import Databases
from support.rule_text import CRITERIA, HERE, TRIGGER, complete

from fedbadges.cli.deployment import placeholder_settings
from fedbadges.criteria.backends import load_backends
from fedbadges.lint.linter import Linter, list_files

RECIPIENT = 'recipient: "%(msg.user)s"\n'
PERSONAL = """\
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}
  operation: count
  condition: {greater than or equal to: 5}
"""
OTHER_OBJECT = "asks for the same object, not for an equal value; write"
NEVER = "no message can match both this and what stands in line 3; did you mean 'any'?"
SAME_FOR_ALL = (
    "these criteria do not depend on who would get the badge: everybody whom the message names "
    'gets it, or nobody; to ask about each, write usernames: ["%(recipient)s"]'
)
WHOLE_TOPIC = (
    "this reads every message that the topic ever had, each time; say in the filter whose "
    'messages, as in usernames: ["%(recipient)s"], or count them by '
    "'len([m for m in query.all() if …])', which reads only what is new"
)
SETTINGS = placeholder_settings({})
LINTER = Linter(load_backends(SETTINGS), SETTINGS)


def whole(body: str) -> str:
    """Returns ``body`` as a rule that is fine but for what ``body`` says."""
    keys = [line.partition(":")[0] for line in body.splitlines()]
    for key, part in (("criteria", PERSONAL), ("recipient", RECIPIENT)):
        if key not in keys:
            body += part
    return complete(body)


def found(directory: Path, *bodies: str) -> list[str]:
    """Returns what is found in rules, without the path where it is the same."""
    for number, body in enumerate(bodies):
        text = whole(body)
        if len(bodies) > 1:
            text = text.replace("name: Test Badge", f"name: Badge {number}")
        (directory / f"{number}.yml").write_text(text)
    files, unreadable = list_files([directory])
    assert unreadable == []
    return [
        f"{finding.place}: {finding.severity}: {finding.text} [{finding.code}]".removeprefix(
            f"{directory}/"
        )
        for finding in sorted(LINTER.run(files))
    ]


def assert_found(directory: Path, body: str, *expected: str) -> None:
    """Checks what is found in a rule: one text with its code for each place that is marked."""
    pieces = body.split(HERE)
    before = ["".join(pieces[:count]) for count in range(1, len(pieces))]
    places = [(text.count("\n") + 1, len(text) - text.rfind("\n")) for text in before]
    assert found(directory, "".join(pieces)) == [
        f"0.yml:{line}:{column}: warning: {text}"
        for (line, column), text in zip(places, expected, strict=True)
    ]


def triggers(*lines: str) -> str:
    return "trigger:\n" + "".join(f"  {line}\n" for line in lines)


def test_nothing_is_found_in_a_good_rule(tmp_path: Path) -> None:
    assert found(tmp_path, "") == []


def test_mistakes_have_the_text_that_the_daemon_logs(tmp_path: Path) -> None:
    assert found(tmp_path, "critera: 1\ntrigger: {topc: git.receive}\n") == [
        "0.yml:1:1: error: unknown key 'critera' in a rule; did you mean 'criteria'? [mistake]",
        "0.yml:2:11: error: unknown key 'topc' in a trigger; did you mean 'topic'? "
        "There are 'topic', 'category', 'lambda', 'all', 'any' and 'not' [mistake]",
    ]


def test_duplicate_finds_two_rules_for_one_badge(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yml").write_text(whole(""))

    assert fedbadges("check", tmp_path).stdout.splitlines() == [
        f"{tmp_path}/b.yml:1:1: error: the badge 'test-badge' has a rule already, at "
        f"{tmp_path}/a.yml:1:1 [duplicate]"
    ]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (("all:", "- topic: git.receive", "- →topic: wiki.edit"), NEVER),
        (("all:", "- category: git", "- →category: wiki"), NEVER),
        (("all:", "- topic: org.example.prod.git.receive", "- →category: wiki"), NEVER),
        (("all:", "- {any: [topic: a, topic: b]}", "- →topic: {any: [c, d]}"), NEVER),
        (("all:", "- topic: receive", "- →not: {topic: receive}"), NEVER),
        (
            ("→all:", "- {any: [topic: a, category: b]}", "- {not: {topic: a}}", "- category: c"),
            "no message can match all of these; did you mean 'any'?",
        ),
        (("→not: {any: [{topic: a}, {not: {topic: a}}]}",), "no message can match this"),
        (("→not:", "  lambda: 'True'"), "no message can match this"),
        (("→lambda: '0'",), "no message can match this"),
        (("any:", "- topic: a", "- →not: {lambda: '1'}"), "no message can match this"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, tuple) else "",
)
def test_never_matches_finds_a_trigger_that_no_message_can_match(
    tmp_path: Path, lines: Iterable[str], text: str
) -> None:
    assert_found(tmp_path, triggers(*lines), f"{text} [never-matches]")


@pytest.mark.parametrize(
    "lines",
    [
        ("all:", "- topic: git.receive", "- topic: receive"),
        ("all:", "- topic: git.receive", "- category: pagure"),
        ("all:", "- topic: org.example.prod.git.receive", "- category: git"),
        ("all:", "- category: git", "- {not: {topic: git.receive}}"),
        ("all:", "- lambda: msg['a']", "- {not: {lambda: \"msg['b']\"}}"),
        ("any:", "- topic: a", "- topic: b"),
        ("not: {topic: a}",),
        ("not: {all: [{topic: a}, {topic: b}]}",),
        ("lambda: msg['msg']",),
    ],
    ids=" ".join,
)
def test_never_matches_accepts_a_trigger_that_some_message_may_match(
    tmp_path: Path, lines: Iterable[str]
) -> None:
    assert found(tmp_path, triggers(*lines)) == []


@pytest.mark.parametrize(
    "question",
    [
        '{filter: {topics: ["%(topic)s"]}, operation: count, condition: {greater than: 4}}',
        '{filter: {topics: ["%(topic)s"]}, operation: count, condition: {less than: 1}}',
        "{filter: {topics: [a.b], users: [bodhi]}, operation: count, condition: {less than: 1}}",
        "{filter: {categories: {lambda: \"[msg['topic']]\"}, start: '%(timestamp)s'},"
        " operation: count, condition: {greater than: 4}}",
        '{filter: {topics: ["%(topic)s"]}, operation: {lambda: query.count()},'
        " condition: {greater than: 0}}",
    ],
)
def test_same_for_all_finds_criteria_that_hold_for_everybody_or_nobody(
    tmp_path: Path, question: str
) -> None:
    assert_found(tmp_path, f"criteria:\n  →{question}\n", f"{SAME_FOR_ALL} [same-for-all]")


@pytest.mark.parametrize(
    "question",
    [
        '{filter: {users: ["%(msg.user)s"]}, operation: count, condition: {greater than: 4}}',
        "{filter: {agents: {lambda: \"[msg['agent']]\"}}, operation: count,"
        " condition: {greater than: 4}}",
        '{filter: {packages: ["%(msg.pkg)s"]}, operation: count, condition: {greater than: 4}}',
        "{filter: {topics: [a]}, operation: {lambda: 'len([m for m in query if m.msg[1] =="
        " %(msg.user)s])'}, condition: {greater than: 4}}",
        "{any: [{libravatar: {exists: Yes}}, {not: {fasjson: {group: packager}}}]}",
        # The message itself is the answer: there is nothing to ask, but a rule has criteria.
        '{filter: {msg_id: "%(msg_id)s"}, operation: count, condition: {equal to: 1}}',
        '{filter: {topics: ["%(topic)s"]}, operation: count, condition: {greater than: 0}}',
    ],
)
def test_same_for_all_accepts_criteria_about_the_candidate_or_a_formality(
    tmp_path: Path, question: str
) -> None:
    assert found(tmp_path, f"criteria:\n  {question}\n") == []


def test_same_for_all_accepts_one_question_about_the_candidate(tmp_path: Path) -> None:
    body = """\
criteria:
  all:
  - {filter: {topics: [a.b]}, operation: count, condition: {greater than: 1000}}
  - {filter: {users: ["%(recipient)s"]}, operation: count, condition: {greater than: 10}}
"""
    assert found(tmp_path, body) == []


class Processor:
    """What fedmsg.meta has of a plugin, as far as its name goes."""

    def __init__(self, name: str) -> None:
        self.__name__ = name


def test_no_plugin_finds_a_rule_that_names_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yml").write_text(complete(PERSONAL))
    (tmp_path / "b.yml").write_text(complete(PERSONAL + "name: B\ntrigger: {topic: logger.log}\n"))

    monkeypatch.setattr("fedmsg.meta.processors", [Processor("Logger")])
    assert fedbadges("check", tmp_path).stdout.splitlines() == [
        f"{tmp_path}/a.yml:1:1: warning: without a 'recipient' a plugin for fedmsg.meta must say "
        "who gets the badge, and none is installed here [no-plugin]"
    ]

    monkeypatch.setattr("fedmsg.meta.processors", [Processor("Git")])
    assert fedbadges("check", tmp_path).stdout == ""


NOT_STORED = (
    "the daemon stores no {} for this filter to find: 'badges.record_messages' is on, "
    "and no plugin for fedmsg.meta is installed here [nothing-stored]"
)


def test_nothing_stored_finds_filters_by_names_that_the_daemon_does_not_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_package = PERSONAL.replace("users:", "not_packages:")
    (tmp_path / "a.yml").write_text(complete(PERSONAL + RECIPIENT))
    (tmp_path / "b.yml").write_text(complete(by_package + RECIPIENT + "name: B\n"))
    config = tmp_path / "config.py"
    databases = Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")
    keys = make_config(databases, tmp_path) | {"endpoints": {}}

    monkeypatch.setattr("fedmsg.meta.processors", [Processor("Logger")])
    config.write_text(f"config = {keys | {'badges.record_messages': True}!r}\n")
    done = fedbadges("check", "--config", config, "--ignore", "same-for-all", tmp_path)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{tmp_path}/a.yml:2:44: warning: {NOT_STORED.format('users')}",
        f"{tmp_path}/b.yml:2:51: warning: {NOT_STORED.format('packages')}",
    ]

    config.write_text(f"config = {keys!r}\n")
    done = fedbadges("check", "--config", config, "--ignore", "same-for-all", tmp_path)
    assert (done.exit_code, done.stdout) == (0, "")


def test_nothing_stored_finds_nothing_with_a_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yml").write_text(complete(PERSONAL + RECIPIENT))
    databases = Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")
    keys = make_config(databases, tmp_path) | {"endpoints": {}, "badges.record_messages": True}
    (tmp_path / "config.py").write_text(f"config = {keys!r}\n")

    monkeypatch.setattr("fedmsg.meta.processors", [Processor("Git")])

    assert fedbadges("check", "--config", tmp_path / "config.py", tmp_path).stdout == ""


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("trigger:\n  lambda: →msg['i'] is 1\n", f"'is 1' {OTHER_OBJECT} '== 1'"),
        ("trigger:\n  lambda: not (→msg['i'] is -1)\n", f"'is -1' {OTHER_OBJECT} '== -1'"),
        ("trigger:\n  lambda: 'a' and →1 is msg['i']\n", f"'is 1' {OTHER_OBJECT} '== 1'"),
        ("trigger:\n  lambda: →msg['i'] is not 1.5\n", f"'is not 1.5' {OTHER_OBJECT} '!= 1.5'"),
        ("trigger:\n  lambda: \"é\" and →msg['i'] is 'a'\n", f"'is 'a'' {OTHER_OBJECT} '== 'a''"),
        ("trigger:\n  lambda:   \"→msg['i'] is 1\"\n", f"'is 1' {OTHER_OBJECT} '== 1'"),
        ("trigger:\n  lambda: →|\n   msg['i'] is 1\n", f"'is 1' {OTHER_OBJECT} '== 1'"),
        (
            "trigger:\n  all: [{topic: a}, {any: [{lambda: →msg is 1}]}]\n",
            f"'is 1' {OTHER_OBJECT} '== 1'",
        ),
        (PERSONAL.replace("gre", "lambda: →value is 5} #"), f"'is 5' {OTHER_OBJECT} '== 5'"),
        (
            PERSONAL.replace(
                "count",
                '{lambda: "len([m for m in query if m.msg == %(msg.x)s and →m.msg[1] is 1])"}',
            ),
            f"'is 1' {OTHER_OBJECT} '== 1'",
        ),
        (
            PERSONAL.replace('["%(recipient)s"]', "{lambda: \"→msg['users'] is 'a'\"}"),
            f"'is 'a'' {OTHER_OBJECT} '== 'a''",
        ),
    ],
)
def test_is_literal_finds_a_lambda_that_compares_identity_with_a_literal(
    tmp_path: Path, body: str, text: str
) -> None:
    assert_found(tmp_path, body, f"{text} [is-literal]")


@pytest.mark.parametrize("asked", ["msg is None", "msg['a'] is True", "msg['a'] == 1", "1 < 2"])
def test_is_literal_accepts_other_comparisons(tmp_path: Path, asked: str) -> None:
    assert found(tmp_path, f'trigger:\n  lambda: "{asked}"\n') == []


def computing(operation: str, keys: str) -> str:
    """Returns criteria with this operation, beside a question about the candidate."""
    return f"""\
criteria:
  all:
  - filter: {{{keys}}}
    operation: {operation}
    condition: {{greater than: 5}}
  - {{filter: {{users: ["%(recipient)s"]}}, operation: count, condition: {{greater than: 10}}}}
"""


@pytest.mark.parametrize(
    ("expression", "keys"),
    [
        ("len({m.msg['repo'] for m in query.all()})", 'topics: ["%(topic)s"]'),
        ("len({m.msg['repo'] for m in query})", "categories: [git], not_users: [bodhi]"),
        ("sum(m.msg['lines'] for m in query.all())", "topics: [a.b]"),
        ("max(m.msg['lines'] for m in query.filter_by(category='a').all())", "topics: [a.b]"),
        ("list(query)", "topics: [a.b]"),
        ("len([m for m in query.all() if m.msg])", "topics: [a.b], rows_per_page: 5000"),
        ("len([m for m in query.all() if m.msg[1] is None and datetime])", "topics: [a.b]"),
    ],
)
def test_whole_topic_finds_an_operation_that_reads_all_of_a_topic(
    tmp_path: Path, expression: str, keys: str
) -> None:
    operation = f'→{{lambda: "{expression}"}}'

    assert_found(tmp_path, computing(operation, keys), f"{WHOLE_TOPIC} [whole-topic]")


@pytest.mark.parametrize(
    ("expression", "keys"),
    [
        ("len({m.msg['repo'] for m in query.all()})", "topics: [a.b], users: [bob]"),
        ("len({m.msg['repo'] for m in query.all()})", "topics: [a.b], start: 7 days ago"),
        ("len({m.msg['repo'] for m in query.all()})", "topics: [a.b], packages: [kernel]"),
        ("len({m.msg['repo'] for m in query.all()})", "topics: [a.b], rows_per_page: 100"),
        ("len([m for m in query.all() if m.msg['a'] == 1])", "topics: [a.b]"),
        ("sum(1 for m in query if m.msg['a'] == 1)", "topics: [a.b], rows_per_page: 9999999"),
        ("query.count()", "topics: [a.b]"),
        ("len(query.all()) + len(query)", "topics: [a.b]"),
        ("query.filter_by(category='git').count()", "topics: [a.b]"),
        ("query.first().msg['a']", "topics: [a.b]"),
    ],
)
def test_whole_topic_accepts_an_operation_that_reads_what_it_needs(
    tmp_path: Path, expression: str, keys: str
) -> None:
    assert found(tmp_path, computing(f'{{lambda: "{expression}"}}', keys)) == []


@pytest.mark.parametrize(
    "other",
    [
        PERSONAL,
        PERSONAL.replace("greater than or equal to: 5", "is greater than or equal to: 5"),
        PERSONAL.replace("greater than or equal to: 5", "greater than: 4"),
        PERSONAL.replace(
            '{topics: ["%(topic)s"], users: ["%(recipient)s"]}',
            '{usernames: ["%(recipient)s"], topics: ["%(topic)s"]}',
        ),
        "criteria:\n  datanommer:\n" + PERSONAL.replace("\n  ", "\n    ").partition("\n")[2],
    ],
)
def test_same_again_finds_two_badges_for_the_same(tmp_path: Path, other: str) -> None:
    (line,) = found(tmp_path, PERSONAL, other)

    assert line == (
        "1.yml:2:3: warning: this is given for just what 'badge-0' is given for, at "
        f"{tmp_path}/0.yml:2:3 [same-again]"
    )


@pytest.mark.parametrize(
    "other",
    [
        PERSONAL.replace("5", "6"),
        PERSONAL.replace("greater than or equal to", "equal to"),
        PERSONAL.replace("users", "agents"),
        PERSONAL + "recipient: '%(msg.owner)s'\n",
        PERSONAL + "recipient_nick2fas: Yes\n",
        PERSONAL + "trigger: {topic: wiki.edit}\n",
        PERSONAL.replace("}\n  operation", ", start: 7 days ago}\n  operation"),
    ],
)
def test_same_again_accepts_the_badges_of_a_series(tmp_path: Path, other: str) -> None:
    assert found(tmp_path, PERSONAL, other) == []


def test_the_default_parts_of_test_rules_have_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path, TRIGGER + CRITERIA + RECIPIENT) == []
