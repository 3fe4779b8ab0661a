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
    'messages, as in usernames: ["%(recipient)s"], or look at each message alone, as '
    "'count' with 'fields' in the filter and 'count distinct' do, and some lambdas"
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
        "There are 'topic', 'category', 'fields', 'lambda', 'all', 'any' and 'not' [mistake]",
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
        "{filter: {topics: [w.x.y.z], users: [bob]}, operation: count, condition: {less than: 1}}",
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
        "{filter: {topics: [o.p.a.b]}, operation: {lambda: 'len([m for m in query if m.msg[1] =="
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
  - {filter: {topics: [o.p.a.b]}, operation: count, condition: {greater than: 1000}}
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
        ("len({m.msg_id + m.agent for m in query.all()})", 'topics: ["%(topic)s"]'),
        ("len(list(m.msg['repo'] for m in query))", "categories: [git], not_users: [bodhi]"),
        ("[m.msg['lines'] for m in query.all()][0]", "topics: [o.p.a.b]"),
        ("sum(m.msg['lines'] for m in query)", "topics: [o.p.a.b], order: desc"),
        ("max(m.msg['lines'] for m in query.filter_by(category='a').all())", "topics: [o.p.a.b]"),
        ("list(query)", "topics: [o.p.a.b]"),
        ("len([m for m in query.all() if m.msg])", "topics: [o.p.a.b], rows_per_page: 5000"),
        ("len([m for m in query.all() if m.msg[1] is None and datetime])", "topics: [o.p.a.b]"),
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
        ("len({m.msg['repo'] for m in query.all()})", 'topics: ["%(topic)s"]'),
        ("sum(m.msg['lines'] for m in query.all())", "topics: [o.p.a.b], start: 2014-01-01"),
        ("list(query)", "topics: [o.p.a.b], users: [bob]"),
        ("list(query)", "topics: [o.p.a.b], start: 7 days ago"),
        ("list(query)", "topics: [o.p.a.b], packages: [kernel]"),
        ("list(query)", "topics: [o.p.a.b], rows_per_page: 100"),
        ("len([m for m in query.all() if m.msg['a'] == 1])", "topics: [o.p.a.b]"),
        ("sum(1 for m in query if m.msg['a'] == 1)", "topics: [o.p.a.b], rows_per_page: 9999999"),
        ("query.count()", "topics: [o.p.a.b]"),
        ("len(query.all()) + len(query)", "topics: [o.p.a.b]"),
        ("query.filter_by(category='git').count()", "topics: [o.p.a.b]"),
        ("query.first().msg['a']", "topics: [o.p.a.b]"),
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


def criteria(filter_: str, operation: str = "count", condition: str = "greater than: 4") -> str:
    return (
        f"criteria:\n  filter: {filter_}\n  operation: {operation}\n  condition: {{{condition}}}\n"
    )


def codes(directory: Path, *bodies: str) -> list[str]:
    """Returns the places and codes of what is found."""
    lines = found(directory, *bodies)
    return [f"{line.split(': ')[0]} {line.rpartition(' ')[2]}" for line in lines]


OTHERS = (
    "all whom {} names are counted together, so a newcomer gets the badge for what others did; to "
    'count for each alone, write {}: ["%(recipient)s"] [counted-together]'
)


@pytest.mark.parametrize(
    ("recipient", "filter_", "path", "key"),
    [
        ("%(msg.people)s", '{users: ["→%(msg.people)s"]}', "msg.people", "usernames"),
        ("%(msg.people)s", '{usernames: ["→%( msg.people )s"]}', "msg.people", "usernames"),
        ("%(msg.chairs)s", '{users: [bodhi, "→%(msg.chairs)s"]}', "msg.chairs", "usernames"),
        ("%(msg.a.Attendees)s", '{users: "→%(msg.a.Attendees)s"}', "msg.a.Attendees", "usernames"),
        ("%(msg.authors)s", '{agents: ["→%(msg.authors)s"]}', "msg.authors", "agents"),
        (
            "%(msg.people)s",
            '{users: ["→%(msg.people)s", "%(recipient)s"]}',
            "msg.people",
            "usernames",
        ),
    ],
)
def test_counted_together_finds_a_filter_by_all_whom_the_recipient_names(
    tmp_path: Path, recipient: str, filter_: str, path: str, key: str
) -> None:
    body = criteria(filter_) + f"recipient: '{recipient}'\n"

    assert_found(tmp_path, body, OTHERS.format(path, key))


@pytest.mark.parametrize(
    ("recipient", "filter_"),
    [
        ("%(msg.user)s", '{users: ["%(msg.user)s"]}'),
        ("%(msg.address)s", '{users: ["%(msg.address)s"]}'),
        ("%(msg.people.0)s", '{users: ["%(msg.people.0)s"]}'),
        ("%(msg.users.owner)s", '{users: ["%(msg.users.owner)s"]}'),
        ("%(msg.people)s", '{users: ["%(recipient)s"]}'),
        ("%(msg.people)s", '{users: ["%(msg.owner)s"]}'),
        ("%(msg.people)s", '{users: [bob], not_users: ["%(msg.people)s"]}'),
        ("%(msg.people)s", '{users: ["%(msg.people)s"], agents: ["%(recipient)s"]}'),
    ],
)
def test_counted_together_accepts_a_filter_by_one_person(
    tmp_path: Path, recipient: str, filter_: str
) -> None:
    assert found(tmp_path, criteria(filter_) + f"recipient: '{recipient}'\n") == []


KRB, NICK = "recipient_krb2fas: Yes\n", "recipient_nick2fas: Yes\n"


@pytest.mark.parametrize(
    ("conversions", "filter_", "names", "key"),
    [
        (KRB, '{users: ["→%(msg.user)s"]}', "'recipient_krb2fas'", "usernames"),
        (KRB, '{agents: "→%(msg.user)s"}', "'recipient_krb2fas'", "agents"),
        (
            NICK + KRB,
            '{users: ["%(recipient)s"], not_usernames: ["→%( msg.user )s"]}',
            "'recipient_krb2fas' or 'recipient_nick2fas'",
            "not_usernames",
        ),
    ],
)
def test_not_converted_finds_a_filter_by_the_name_in_the_message(
    tmp_path: Path, conversions: str, filter_: str, names: str, key: str
) -> None:
    body = criteria(filter_) + f"recipient: '%(msg.user)s'\n{conversions}"

    assert_found(
        tmp_path,
        body,
        f"{names} converts the recipient, and not what this filter looks for; to look for the "
        f'account, write {key}: ["%(recipient)s"] [not-converted]',
    )


@pytest.mark.parametrize(
    ("conversions", "filter_"),
    [
        ("", '{users: ["%(msg.user)s"]}'),
        ("recipient_krb2fas: No\n", '{users: ["%(msg.user)s"]}'),
        (KRB, '{users: ["%(recipient)s"]}'),
        (KRB, '{users: ["%(recipient)s", "%(msg.user)s"]}'),
        (KRB, '{users: ["%(msg.owner)s"]}'),
        (KRB, '{packages: ["%(msg.user)s"]}'),
    ],
)
def test_not_converted_accepts_filters_by_the_account(
    tmp_path: Path, conversions: str, filter_: str
) -> None:
    body = criteria(filter_) + f"recipient: '%(msg.user)s'\n{conversions}"

    assert found(tmp_path, body) == []


AT_LEAST_ONE = "did you mean 'greater than or equal to: 1'?"
WHY = "a count is a whole number, and never less than 0"


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ("greater than or equal to: 0", f"always holds: {WHY}; {AT_LEAST_ONE} [always-holds]"),
        ("is greater than or equal to: -5", f"always holds: {WHY}; {AT_LEAST_ONE} [always-holds]"),
        ("greater than: -1", f"always holds: {WHY}; {AT_LEAST_ONE} [always-holds]"),
        ("is not: -1", f"always holds: {WHY}; {AT_LEAST_ONE} [always-holds]"),
        ("is not: 1.5", f"always holds: {WHY}; {AT_LEAST_ONE} [always-holds]"),
        ("less than: .inf", f"always holds: {WHY}; {AT_LEAST_ONE} [always-holds]"),
        ("less than: 0", f"never holds: {WHY}; did you mean 'equal to: 0'? [never-holds]"),
        (
            "less than or equal to: -1",
            f"never holds: {WHY}; did you mean 'equal to: 0'? [never-holds]",
        ),
        ("equal to: -1", f"never holds: {WHY}; did you mean 'equal to: 0'? [never-holds]"),
        ("equal to: 2.5", f"never holds: {WHY}; did you mean 'equal to: 0'? [never-holds]"),
        ("greater than: .inf", f"never holds: {WHY}; did you mean 'equal to: 0'? [never-holds]"),
    ],
)
@pytest.mark.parametrize(
    "operation",
    ["count", "{lambda: 'len([m for m in query if m.msg])'}", "{lambda: query.count()}"],
)
def test_constant_condition_finds_what_holds_of_every_count_or_none(
    tmp_path: Path, condition: str, text: str, operation: str
) -> None:
    body = criteria('{users: ["%(recipient)s"]}', operation, condition)
    body = body.replace("condition: {", "condition: →{")

    assert_found(tmp_path, body, f"'{condition.replace('.inf', 'inf')}' {text}")


def test_constant_condition_finds_a_count_of_several_messages_of_one_id(tmp_path: Path) -> None:
    body = criteria('{msg_id: "%(msg_id)s"}', condition="greater than: 1")

    assert_found(
        tmp_path,
        body.replace("condition: {", "condition: →{"),
        f"'greater than: 1' never holds: one message has an id; {AT_LEAST_ONE} [never-holds]",
    )


@pytest.mark.parametrize(
    "condition",
    ["equal to: 0", "less than: 1", "less than: 0.5", "greater than: 0", "is not: 0", "is not: 7"],
)
def test_constant_condition_accepts_what_depends_on_the_count(
    tmp_path: Path, condition: str
) -> None:
    assert found(tmp_path, criteria('{users: ["%(recipient)s"]}', condition=condition)) == []


def test_constant_condition_accepts_a_negative_number_for_a_sum(tmp_path: Path) -> None:
    operation = "{lambda: \"sum(m.msg['karma'] for m in query)\"}"
    body = criteria('{users: ["%(recipient)s"]}', operation, "less than: 0")

    assert found(tmp_path, body) == []


@pytest.mark.parametrize(
    "times",
    [
        "start: 2024-01-01, →end: 2024-01-01",
        "start: 2024-01-01, →end: 2024-01-01 00:00:00",
        "→end: 7 days ago, start: 1 week ago",
        "start: 30 days ago, →end: 2014-01-01",
        "→start: 0 days ago",
        "start: 0 days ago, →end: 0 seconds ago",
        "start: '%(timestamp)s', →end: '%(timestamp)s'",
    ],
)
def test_empty_window_finds_a_window_in_which_nothing_is_sent(tmp_path: Path, times: str) -> None:
    body = criteria(f'{{users: ["%(recipient)s"], {times}}}')
    before = body.partition(HERE)[0]
    column = len(before) - before.rfind("\n")

    assert codes(tmp_path, body.replace(HERE, "")) == [f"0.yml:2:{column} [empty-window]"]


@pytest.mark.parametrize(
    "times",
    [
        "start: 30 days ago",
        "start: 2014-01-01",
        "end: 2014-01-01",
        "start: 2 days ago, end: 1 day ago",
        "start: 2014-01-01, end: 30 days ago",
        "start: 30 days ago, end: 2999-01-01",
        "start: '%(msg.begin)s', end: '%(msg.end)s'",
    ],
)
def test_empty_window_accepts_a_window_with_width(tmp_path: Path, times: str) -> None:
    assert found(tmp_path, criteria(f'{{users: ["%(recipient)s"], {times}}}')) == []


BRACES = "is no template; did you mean"
EMPTY = "is no topic: a part between dots, or at an end, is empty"
VARIABLES = "and neither patterns nor variables are known here"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (criteria('{topics: [→"{topic}"], users: [bob]}'), f"'{{topic}}' {BRACES} '%(topic)s'?"),
        (
            criteria('{topics: [→"{{ topic }}"], users: [b]}'),
            f"'{{{{ topic }}}}' {BRACES} '%(topic)s'?",
        ),
        (criteria('{topics: [→"${topic}"], users: [bob]}'), f"'${{topic}}' {BRACES} '%(topic)s'?"),
        (criteria('{not_topics: [→"{topic}"], users: [b]}'), f"'{{topic}}' {BRACES} '%(topic)s'?"),
        (
            criteria('{users: [→"{msg.user}", "%(recipient)s"]}'),
            f"'{{msg.user}}' {BRACES} '%(msg.user)s'?",
        ),
        (criteria('{users: [→"{user}", "%(recipient)s"]}'), f"'{{user}}' {BRACES} '%(msg.user)s'?"),
        (
            criteria('{agents: [→"{recipient}", "%(recipient)s"]}'),
            f"'{{recipient}}' {BRACES} '%(recipient)s'?",
        ),
        (
            criteria('{msg_id: →"{msg_id}"}', condition="equal to: 1"),
            f"'{{msg_id}}' {BRACES} '%(msg_id)s'?",
        ),
        (
            criteria("{topics: [→'%topic'], users: [bob]}"),
            f"'%topic' is no topic: none has '%', {VARIABLES}",
        ),
        (
            criteria("{topics: [→'org.example.*.git.receive'], users: [bob]}"),
            f"'org.example.*.git.receive' is no topic: none has '*', {VARIABLES}",
        ),
        (
            criteria("{categories: [→'git|wiki'], users: [bob]}"),
            f"'git|wiki' is no category: none has '|', {VARIABLES}",
        ),
        (
            criteria("{topics: [→topic], users: [bob]}"),
            "no message has the topic 'topic': a filter has whole topics, such as "
            "'org.fedoraproject.prod.git.receive' or '%(topic)s'",
        ),
        (
            criteria("{topics: [→wiki.article.edit], users: [bob]}"),
            "no message has the topic 'wiki.article.edit': a filter has whole topics, such as "
            "'org.fedoraproject.prod.git.receive' or '%(topic)s'",
        ),
        (
            criteria("{topics: [→.org.fedoraproject.prod.git.receive], users: [bob]}"),
            f"'.org.fedoraproject.prod.git.receive' {EMPTY}",
        ),
        ("trigger: {topic: →git..receive}\n", f"'git..receive' {EMPTY}"),
        ("trigger: {topic: {any: [a.b, →git.receive.]}}\n", f"'git.receive.' {EMPTY}"),
        ("trigger: {topic: →'.'}\n", f"'.' {EMPTY}"),
        (
            criteria("{categories: [→org.example.prod.git], users: [bob]}"),
            "no message has the category 'org.example.prod.git': it is one part of a topic",
        ),
        (
            "trigger: {topic: →'{topic}'}\n",
            f"'{{topic}}' is no topic: none has '{{', {VARIABLES}",
        ),
        (
            "trigger: {any: [topic: a, not: {category: →'git#'}]}\n",
            f"'git#' is no category: none has '#', {VARIABLES}",
        ),
    ],
)
def test_no_topic_finds_texts_that_no_topic_or_category_has(
    tmp_path: Path, body: str, text: str
) -> None:
    if "users: [b" in body:
        body = body.replace("[bob]", '["%(recipient)s"]').replace("[b]", '["%(recipient)s"]')
    body = body.replace("→'", "'→").replace('→"', '"→')

    assert_found(tmp_path, body, f"{text} [no-topic]")


@pytest.mark.parametrize(
    "filter_",
    [
        '{topics: [org.example.prod.git.branch.libstdc++.main], users: ["%(recipient)s"]}',
        '{topics: ["org.%(msg.site)s.prod"], users: ["%(recipient)s"]}',
        '{contains: ["{user}"], users: ["%(recipient)s"]}',
        '{users: ["nick{", "%(recipient)s"]}',
    ],
)
def test_no_topic_accepts_topics_and_free_text(tmp_path: Path, filter_: str) -> None:
    assert found(tmp_path, criteria(filter_)) == []


@pytest.mark.parametrize(
    ("path", "meant", "first"),
    [
        ("user", "msg.user", "user"),
        ("user.username", "msg.user.username", "user"),
        ("message.user", "msg.user", "message"),
        ("msgs.user", "msg.user", "msgs"),
        ("Topic", "topic", "Topic"),
    ],
)
def test_no_field_finds_templates_of_fields_that_messages_do_not_have(
    tmp_path: Path, path: str, meant: str, first: str
) -> None:
    expected = (
        f"fedmsg's messages have no '{first}' beside 'msg'; did you mean '%({meant})s'? [no-field]"
    )

    assert_found(tmp_path, f"recipient: '→%({path})s'\n", expected)
    assert_found(tmp_path, criteria(f"{{users: ['→%({path})s', '%(recipient)s']}}"), expected)
    operation = f"{{lambda: \"sum(m.msg == '→%({path})s' for m in query)\"}}"
    assert_found(tmp_path, criteria('{users: ["%(recipient)s"]}', operation), expected)


def test_no_field_finds_fields_that_messages_do_not_have(tmp_path: Path) -> None:
    body = "trigger: {topic: git.receive, fields: {→minor: 0, msg.minor: '→%(minor)s'}}\n"

    missing = "fedmsg's messages have no 'minor' beside 'msg'; did you mean"
    assert_found(
        tmp_path,
        body,
        f"{missing} 'msg.minor'? [no-field]",
        f"{missing} '%(msg.minor)s'? [no-field]",
    )


def test_never_matches_knows_all_keys_of_a_trigger(tmp_path: Path) -> None:
    body = "trigger:\n  topic: org.example.prod.git.receive\n  →category: wiki\n"
    assert_found(tmp_path, body, f"{NEVER.replace('line 3', 'line 2')} [never-matches]")


def test_no_field_knows_the_recipient_in_filters(tmp_path: Path) -> None:
    body = criteria("{users: ['→%(recipent)s']}")

    assert_found(
        tmp_path,
        body,
        "fedmsg's messages have no 'recipent' beside 'msg'; did you mean '%(recipient)s'? "
        "[no-field]",
    )


@pytest.mark.parametrize("path", ["msg_id", "timestamp", "username", "headers.sent-at", "i"])
def test_no_field_accepts_what_messages_have(tmp_path: Path, path: str) -> None:
    assert found(tmp_path, f"recipient: '%({path})s'\n") == []


@pytest.mark.parametrize("name", ["C/C++", "100% Tested", "Back\\slash", "'#1 Tester'"])
def test_odd_id_finds_a_name_whose_id_breaks_links(tmp_path: Path, name: str) -> None:
    assert [each.split()[1] for each in codes(tmp_path, f"name: {name}\n")] == ["[odd-id]"]


def test_odd_id_says_what_the_name_should_not_have(tmp_path: Path) -> None:
    assert_found(
        tmp_path,
        "name: →50%/50%\n",
        "the badge's id will be '50%/50%', and links to it break at '%' and '/'; write 'name' "
        "without '%' and '/' [odd-id]",
    )


def test_findings_of_a_series_come_once_and_those_of_a_badge_at_its_entry(tmp_path: Path) -> None:
    rest = whole('criteria: {filter: {topics: ["%(topic)s"]}, operation: count}\n')
    body = (
        "series: All\nbadges:\n"
        "- {name: One, threshold: 0}\n- {name: 50%, threshold: 2}\n"
        "- name: Three\n  threshold: 3\n  description: See #3\n"
    )
    (tmp_path / "a.yml").write_text(body + rest.replace("name: Test Badge\n", ""))

    lines = [(each.place.line, each.code) for each in sorted(LINTER.run([tmp_path / "a.yml"]))]

    assert lines == [(3, "always-holds"), (4, "odd-id"), (7, "cut-text"), (8, "same-for-all")]


@pytest.mark.parametrize("name", ["Who? Me!", "Rock & Roll", "Été", "It's (Gone)"])
def test_odd_id_accepts_what_ids_may_have(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, f"name: {name}\n") == []


CUT = "is left out: without quotes, a comment begins at ' #'; put quotes around the whole text of"


@pytest.mark.parametrize(
    ("body", "cut", "key"),
    [
        ("description: →You are #1 among testers\n", " #1 among testers", "description"),
        ("description: →You are # 1\n", " # 1", "description"),
        ("name: →Agent   #7\n", "   #7", "name"),
        ("description: →You are\n  the true #1\n", " #1", "description"),
        ("creator: →alice #fedora-badges\n", " #fedora-badges", "creator"),
        ("tags:\n- git\n- →issue #9\n", " #9", "tags"),
        ("description: →é\u2028  ü #1\n", " #1", "description"),
        (
            criteria('\n    contains:\n    - →bug #12\n    users: ["%(recipient)s"]'),
            " #12",
            "contains",
        ),
    ],
)
def test_cut_text_finds_a_comment_that_may_be_text(
    tmp_path: Path, body: str, cut: str, key: str
) -> None:
    assert_found(tmp_path, body, f"'{cut}' {CUT} '{key}' [cut-text]")


@pytest.mark.parametrize(
    "body",
    [
        "description: 'You are #1'\n",
        "description: 'You are' #1\n",
        "description: You are#1\n",
        "description: You are  # who reads this?\n",
        "description: |\n  You are #1\n",
        "creator: alice # of Wonderland\n",
        "issuer_id: fedora-project #old\n",
        "discussion: https://badges.example.org/#1\n",
        "trigger: {topic: git.receive} #main\n",
        "trigger:\n  topic: git.receive #main\n",
    ],
)
def test_cut_text_accepts_comments(tmp_path: Path, body: str) -> None:
    assert found(tmp_path, body) == []


@pytest.mark.parametrize(
    "keys", ["topics: [o.p.a.b], start: 2014-01-01", "topics: [o.p.a.b], end: 1 day ago"]
)
def test_whole_topic_finds_a_window_that_grows(tmp_path: Path, keys: str) -> None:
    operation = "→{lambda: list(query)}"

    assert_found(tmp_path, computing(operation, keys), f"{WHOLE_TOPIC} [whole-topic]")


def test_whole_topic_finds_a_fold_in_a_window_that_slides(tmp_path: Path) -> None:
    operation = "→{lambda: \"len({m.msg['repo'] for m in query.all()})\"}"

    keys = "topics: [o.p.a.b], end: 1 day ago"
    assert_found(tmp_path, computing(operation, keys), f"{WHOLE_TOPIC} [whole-topic]")


def test_whole_topic_finds_a_condition_on_more_values_than_are_kept(tmp_path: Path) -> None:
    operation = "→{lambda: \"len({m.msg['repo'] for m in query.all()})\"}"
    body = computing(operation, "users: [bob]")
    text = "of more than 10000 different values, every message that the filter selects is read"

    assert found(tmp_path, body.replace("→", "")) == []
    body = body.replace("greater than: 5", "greater than: 10000")
    assert_found(tmp_path, body, f"{text}, each time [whole-topic]")
