"""What comes of a test of a rule: the daemon's own verdicts, compared with what is expected."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rule_test_files import PUSH, counting, make_runner, run, write_suite
from support.rule_text import complete

from fedbadges.errors import RuleError
from fedbadges.ruletests.runner import RuleTestRunner


@pytest.fixture(scope="module")
def runner() -> RuleTestRunner:
    return make_runner()


def differences(
    runner: RuleTestRunner, directory: Path, test: str, rule: str = counting(2), before: str = ""
) -> list[tuple[str, str]]:
    """Returns what is expected and what is got, where that is not the same, in one test."""
    lines = "".join(f"  {line}\n" for line in test.strip().splitlines())
    path = write_suite(directory, f"{PUSH}{before}tests:\n- name: a\n{lines}", rule)
    return [(each.expected, each.got) for each in run(runner, path)]


def test_test_passes_when_its_expectations_are_met(runner: RuleTestRunner, tmp_path: Path) -> None:
    test = """
incoming:
- {like: push, from: alice, awards: {}}
- {like: push, from: bob, no_awards: {alice: test-badge, bob: test-badge}}
- {like: push, from: Alice, awards: {ALICE: [test-badge]}}
awards: {alice: test-badge}
no_awards: {bob: test-badge}
"""
    assert differences(runner, tmp_path, test) == []


@pytest.mark.parametrize(
    ("test", "expected", "got"),
    [
        (
            "incoming: [{like: push, from: alice, awards: {alice: test-badge}}]",
            "alice gets test-badge with incoming message 1",
            "nobody: the criteria do not hold for alice",
        ),
        (
            "incoming: [{like: push, from: alice}, {like: push, from: bob}]\n"
            "awards: {alice: test-badge}",
            "alice gets test-badge in all",
            "nobody: the criteria do not hold for alice",
        ),
        (
            "incoming: [{like: push, from: alice, count: 2, awards: {}}]",
            "nobody gets test-badge with the 2 messages of incoming 1",
            "alice gets it",
        ),
        (
            "incoming: [{like: push, from: [alice, bob, carol], count: 2,"
            " awards: {alice: test-badge, bob: test-badge}}]",
            "only alice and bob get test-badge with the 6 messages of incoming 1",
            "carol gets it",
        ),
        (
            "incoming: [{like: push, from: alice, count: 2}]\nno_awards: {alice: test-badge}",
            "alice does not get test-badge in all",
            "alice gets it",
        ),
        (
            "incoming: [{like: push, from: [alice, bob], count: 2}]\n"
            "awards: {alice: test-badge, bob: test-badge, carol: test-badge}",
            "carol gets test-badge in all",
            "alice and bob only: carol is no candidate, or the trigger does not hold",
        ),
        (
            "incoming: [{like: push, topic: a, from: alice, awards: {alice: test-badge}}]",
            "alice gets test-badge with incoming message 1",
            "nobody: alice is no candidate, or the trigger does not hold",
        ),
        (
            "opted_out: alice\nincoming: [{like: push, from: alice, count: 2}]\n"
            "awards: {alice: test-badge}",
            "alice gets test-badge in all",
            "nobody: alice has opted out",
        ),
        (
            "holds: {alice: test-badge}\nincoming: [{like: push, from: alice, count: 2}]\n"
            "awards: {alice: test-badge}",
            "alice gets test-badge in all",
            "nobody: alice holds it already",
        ),
        (
            "past: [{like: push, from: alice}]\nincoming: [{like: push, from: alice},"
            " {like: push, from: alice, awards: {alice: test-badge}}]",
            "alice gets test-badge with incoming message 2",
            "nobody: alice holds it already",
        ),
        (
            "accounts: {bob: {}}\nincoming: [{like: push, from: alice, count: 2}]\n"
            "awards: {alice: test-badge}",
            "alice gets test-badge in all",
            "nobody: alice has no account",
        ),
    ],
)
def test_difference_says_what_happened_and_why(
    runner: RuleTestRunner, tmp_path: Path, test: str, expected: str, got: str
) -> None:
    assert differences(runner, tmp_path, test) == [(expected, got)]


def test_difference_is_reported_only_once(runner: RuleTestRunner, tmp_path: Path) -> None:
    test = """
incoming: [{like: push, from: alice, count: 2, awards: {}, no_awards: {alice: test-badge}}]
"""
    assert len(differences(runner, tmp_path, test)) == 1


def test_each_test_begins_with_empty_databases(runner: RuleTestRunner, tmp_path: Path) -> None:
    first = """
holds: {bob: test-badge}
opted_out: carol
past: [{like: push, from: [alice, carol], count: 5}]
incoming: [{like: push, from: alice, awards: {alice: test-badge}}]
"""
    assert differences(runner, tmp_path, first) == []

    second = """
incoming:
- {like: push, from: [alice, bob, carol], awards: {}}
- like: push
  from: [carol, bob, alice]
  awards: {alice: test-badge, bob: test-badge, carol: test-badge}
"""
    assert differences(runner, tmp_path, second) == []


def test_holder_of_a_badge_can_have_opted_out(runner: RuleTestRunner, tmp_path: Path) -> None:
    test = """
holds: {alice: test-badge}
opted_out: [alice]
incoming: [{like: push, from: alice, count: 2, awards: {}}]
"""
    assert differences(runner, tmp_path, test) == []


def since(age: str) -> str:
    return complete(f"""\
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(recipient)s"], start: {age}}}
  operation: count
  condition: {{greater than or equal to: 3}}
recipient: "%(msg.user)s"
""")


@pytest.mark.parametrize(
    ("past", "fits"),
    [
        ("from: alice, count: 2", True),
        ("from: alice, count: 2, timestamp: 10 days ago, every: 1 second", True),
        ("from: alice, count: 2, timestamp: 11 days ago, every: 1 second", False),
        ("from: alice, count: 2, timestamp: 2023-12-22 12:00:00, every: 1 second", True),
        ("from: alice, count: 2, timestamp: 2023-12-22 11:59:59, every: 1 second", False),
        ("from: alice, count: 5, every: 5 days", True),
        ("from: alice, count: 5, every: 6 days", False),
        # Those of one number are sent together.
        ("from: [bob, alice], count: 2, every: 5 days", True),
    ],
)
def test_past_messages_are_sent_at_intervals_before_now(
    runner: RuleTestRunner, tmp_path: Path, past: str, fits: bool
) -> None:
    awards = "{alice: test-badge}" if fits else "{}"
    test = f"""
past: [{{like: push, {past}}}]
incoming: [{{like: push, from: alice, awards: {awards}}}]
"""
    assert differences(runner, tmp_path, test, since("10 days ago")) == []


def test_messages_without_timestamp_come_in_the_order_of_the_file(
    runner: RuleTestRunner, tmp_path: Path
) -> None:
    rule = complete("""\
criteria:
  filter: {topics: ["%(topic)s"]}
  operation: {lambda: "''.join(m.msg['b'] for m in query.all())"}
  condition: {lambda: "value == 'abcdefgh'"}
recipient: "%(msg.user)s"
""")
    test = """
past:
- {like: push, from: x, msg: {b: a}}
- {like: push, from: x, msg: {b: b}, timestamp: 90 seconds ago}
- {like: push, from: x, msg: {b: c}}
incoming:
- {like: push, from: x, msg: {b: d}}
- {like: push, from: x, msg: {b: e}, every: 1 day}
- {like: push, from: x, msg: {b: f}}
- {like: push, from: x, msg: {b: g}}
- {like: push, from: alice, msg: {b: h}, awards: {alice: test-badge}}
"""
    assert differences(runner, tmp_path, test, rule) == []


def test_now_can_be_set_for_the_file_and_for_a_test(runner: RuleTestRunner, tmp_path: Path) -> None:
    past = "past: [{like: push, from: alice, timestamp: 2020-06-01, count: 2, every: 1 second}]\n"
    incoming = "incoming: [{like: push, from: alice, awards: %s}]\n"
    won, nothing = incoming % "{alice: test-badge}", incoming % "{}"
    rule, file = since("10 days ago"), "now: 2020-06-05\n"

    assert differences(runner, tmp_path, past + nothing, rule) == []
    assert differences(runner, tmp_path, past + won, rule, before=file) == []
    assert differences(runner, tmp_path, "now: 2021-01-01\n" + past + nothing, rule, file) == []


def test_like_merges_the_fields_of_another_message(runner: RuleTestRunner, tmp_path: Path) -> None:
    rule = complete("""\
criteria: {filter: {msg_id: "%(msg_id)s"}, operation: count, condition: {equal to: 1}}
trigger:
  lambda: |
    (msg['msg'], msg['i'], msg['username'], msg['msg_id'])
    == ({'user': 'alice', 'a': {'b': 1, 'c': [2]}, 'n': 2, 't': 'number 2 is 100%'}, 7, 'x', 'm-2')
recipient: "%(msg.user)s"
""")
    before = """\
  other:
    topic: a.b
    i: 7
    msg_id: m-%(number)s
    msg: {user: nobody, a: {b: 1, c: [1, 1]}, n: "%(number)s", t: "number %(number)s is 100%%"}
"""
    test = """
incoming:
- {like: other, from: alice, count: 2, username: x, msg: {user: "%(from)s", a: {c: [2]}}}
awards: {alice: test-badge}
"""
    assert differences(runner, tmp_path, test, rule, before) == []


def test_usernames_default_to_the_sender_and_then_to_fedmsg_meta(
    runner: RuleTestRunner, tmp_path: Path
) -> None:
    rule = complete("trigger: {topic: logger.log}\n").replace("\nrecipient", "\n# recipient")
    log = "topic: org.fedoraproject.prod.logger.log, username: alice, msg: {log: a}"
    test = f"""
incoming:
- {{{log}, awards: {{alice: test-badge}}}}
- {{{log}, from: bob, awards: {{bob: test-badge}}}}
- {{{log}, from: carol, usernames: [Dave, erin], awards: {{dave: test-badge, erin: test-badge}}}}
- {{{log}, usernames: [], awards: {{}}}}
"""
    assert differences(runner, tmp_path, test, rule) == []


@pytest.mark.parametrize(
    ("key", "told"),
    [("packages", "packages: vim"), ("agents", "agent: Vim"), ("users", "usernames: [vim]")],
)
def test_packages_and_agent_of_a_message_can_be_set(
    runner: RuleTestRunner, tmp_path: Path, key: str, told: str
) -> None:
    rule = complete(f"""\
criteria: {{filter: {{{key}: [vim]}}, operation: count, condition: {{equal to: 1}}}}
recipient: "%(msg.user)s"
""")
    test = f"""
incoming:
- {{like: push, from: alice, awards: {{}}}}
- {{like: push, from: alice, {told}, awards: {{alice: test-badge}}}}
"""
    assert differences(runner, tmp_path, test, rule) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("nick", "al[m]"),
        ("nick", "AL[m]"),
        ("email", "al@example.com"),
        ("email", "Al@Example.com"),
        ("github", "al-hub"),
        ("github", "https://github.com/Al-Hub"),
    ],
)
def test_accounts_resolve_nicks_emails_and_github_names(
    runner: RuleTestRunner, tmp_path: Path, kind: str, name: str
) -> None:
    rule = counting(1) + f"recipient_{kind}2fas: Yes\n"
    rule = rule.replace('users: ["%(recipient)s"]', 'users: ["%(msg.user)s"]')
    before = """\
accounts:
  alice: {nicks: ["al[m]", both], emails: al@example.com, github: [al-hub]}
  bob: {nicks: both}
"""
    test = f"""
incoming:
- {{like: push, from: "{name}", awards: {{alice: test-badge}}}}
- {{like: push, from: both, awards: {{}}}}
- {{like: push, from: somebody@example.com, awards: {{}}}}
"""
    assert differences(runner, tmp_path, test, rule, before) == []


PEOPLE = """\
messages:
  done:
    topic: org.fedoraproject.prod.git.receive
    msg: {who: [{name: Alice, fullname: Alice A.}, {name: bob}]}
"""


@pytest.mark.parametrize(
    ("key", "template"),
    [
        ("users", '["%(msg.who)s"]'),
        ("usernames", '"%(msg.who)s"'),
        ("usernames", "{lambda: \"msg['msg']['who'][:1]\"}"),
        ("usernames", '{lambda: "%(msg.who)s"}'),
        ("users", '{lambda: "%(msg.who)s"}'),
        ("agents", '["%(msg.who)s"]'),
        ("users", '["%(msg.who.0.name)s"]'),
    ],
)
def test_one_template_of_objects_serves_recipient_and_filter(
    runner: RuleTestRunner, tmp_path: Path, key: str, template: str
) -> None:
    rule = counting(3).replace("%(msg.user)s", "%(msg.who)s")
    rule = rule.replace('users: ["%(recipient)s"]', f"{key}: {template}")
    agent = ", agent: alice" if key == "agents" else ""
    test = f"""
past:
- {{like: done, from: alice{agent}, count: 2}}
- {{like: done, from: carol, count: 2}}
incoming:
- {{like: done, usernames: [alice, bob]{agent}, awards: {{alice: test-badge, bob: test-badge}}}}
"""
    found = differences(runner, tmp_path, test, rule, PEOPLE.removeprefix("messages:\n"))
    assert found == []


def test_people_in_a_filter_that_is_negated_may_be_objects(
    runner: RuleTestRunner, tmp_path: Path
) -> None:
    rule = counting(2).replace("%(msg.user)s", "%(msg.who)s")
    rule = rule.replace('users: ["%(recipient)s"]', 'not_users: ["%(msg.who)s"]')
    test = """
past:
- {like: done, from: alice, count: 5}
- {like: done, from: carol}
incoming:
- {like: done, usernames: [bob], awards: {}}
- {like: done, usernames: [dave], awards: {alice: test-badge, bob: test-badge}}
"""
    found = differences(runner, tmp_path, test, rule, PEOPLE.removeprefix("messages:\n"))
    assert found == []


def test_rule_with_a_leading_dot_and_templates_in_lambdas_awards(
    runner: RuleTestRunner, tmp_path: Path
) -> None:
    rule = counting(1).replace(
        "topic: git.receive",
        "all: [topic: .git.receive, "
        "{lambda: \"'%(msg.user)s' == msg['msg']['user'] and '%(topic)s'.endswith('receive')\"}]",
    )
    rule = rule.replace('users: ["%(recipient)s"]', "users: {lambda: \"['%(recipient)s']\"}")
    test = "incoming: [{like: push, from: alice, awards: {alice: test-badge}}]"
    assert differences(runner, tmp_path, test, rule) == []


@pytest.mark.parametrize(
    ("criteria", "awards"),
    [
        ("fasjson: {group: packager}", "{alice: test-badge}"),
        ("fasjson: {group: {not: packager}}", "{bob: test-badge}"),
        ("libravatar: {exists: Yes}", "{bob: test-badge}"),
        ("libravatar: {exists: No}", "{alice: test-badge}"),
    ],
)
def test_criteria_see_the_groups_and_avatars_of_the_test(
    runner: RuleTestRunner, tmp_path: Path, criteria: str, awards: str
) -> None:
    rule = complete(f"criteria: {{{criteria}}}\nrecipient: '%(msg.user)s'\n")
    test = f"""
accounts:
  alice: {{groups: [docs, packager]}}
  bob: {{avatar: Yes}}
incoming: [{{like: push, from: [alice, bob]}}]
awards: {awards}
"""
    assert differences(runner, tmp_path, test, rule) == []


def test_file_can_test_several_rules_together(runner: RuleTestRunner, tmp_path: Path) -> None:
    (tmp_path / "other.yml").write_text(counting(3, "Other"))
    test = """
incoming:
- {like: push, from: alice, count: 2, awards: {alice: test-badge}}
- {like: push, from: alice, awards: {alice: other}}
awards: {alice: [test-badge, other]}
"""
    assert differences(runner, tmp_path, test, before="rules: [rule.yml, other.yml]\n") == []


_TEXT = st.text(max_size=20) | st.sampled_from(["\ud800", "\x00", "a" * 300, "%", "git.receive"])
_JSON = st.recursive(
    _TEXT | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_MESSAGES = st.fixed_dictionaries(
    {"topic": _TEXT},
    optional={
        "msg": st.dictionaries(st.just("user") | _TEXT, _JSON, max_size=3),
        "headers": st.dictionaries(_TEXT, _JSON, max_size=2),
        "from": st.lists(_TEXT, min_size=1, max_size=2),
        "usernames": st.lists(_TEXT, max_size=2),
        "packages": _TEXT,
        "agent": _TEXT,
        "msg_id": _TEXT,
        "username": _TEXT,
        "timestamp": st.floats(-1e12, 1e12),
        "signature": _JSON,
    },
)


@given(st.lists(_MESSAGES, min_size=1, max_size=3))
@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_message_with_any_content_is_handled(
    runner: RuleTestRunner, tmp_path: Path, messages: list[dict[str, Any]]
) -> None:
    test = {"name": "a", "past": messages[:1], "incoming": messages[1:] or messages, "awards": {}}
    path = write_suite(tmp_path, json.dumps({"tests": [test]}), counting(1))
    try:
        found = run(runner, path)
    except RuleError:
        return
    assert all(each.got.endswith(" gets it") for each in found)
