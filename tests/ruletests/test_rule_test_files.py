"""What a test file may say, and what is said of one that says something else."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rule_test_files import PUSH, counting, make_runner, mistakes, write_suite

from fedbadges.errors import RuleError
from fedbadges.rules.loader import TEST_FILES, files_at, load_directory
from fedbadges.rules.parsing import Problems
from fedbadges.ruletests.runner import RuleTestRunner
from fedbadges.ruletests.suite import parse_suite

HERE = "→"
"""Stands in a test file's text in front of each place that a message must name."""

TESTS = "tests:\n- {name: a, incoming: [{topic: a, awards: {}}]}\n"


EVERYTHING = """\
rules: [rule.yml]
now: 2024-03-01
accounts:
  alice:
  bob: {nicks: bobby, emails: [bob@example.org], github: bobby, groups: [a, b], avatar: Yes}
opted_out: [carol]
holds: {Dave: test-badge}
messages:
  real:
    {"topic": "org.fedoraproject.prod.git.receive", "msg": {"a": [1, 2.5, null, true, "x"]},
     "msg_id": "2024-%(number)s", "timestamp": 1700000000, "i": 3, "username": "apache",
     "headers": {"a": "b"}, "source_name": "datanommer", "source_version": "0.9.0",
     "crypto": "x509", "certificate": "Li4u", "signature": "Li4u", "usernames": [],
     "packages": [vim], "agent": alice}
tests:
- name: all
  now: 2024-04-01T12:30:00Z
  accounts: {}
  opted_out: []
  holds: {}
  past:
  - {like: real, from: [alice, 'no'], count: 1, every: 90 minutes, msg_id: "%(from)s"}
  incoming:
  - {like: real, timestamp: 2 days ago, awards: {}, no_awards: {alice: [test-badge]}}
  awards: {}
  no_awards: {bob: test-badge}
"""

MISTAKES: list[tuple[str, list[str]]] = [
    ("→rules: [rule.yml]\n", ["missing key 'tests' in a test file"]),
    ("→- a\n", ["a test is a mapping, and this is a list"]),
    ("a: 1\n---\n→b: 1\n", ["a second document; a test file holds exactly one"]),
    (
        f"→messagess: {{}}\n→test: 1\n{TESTS}",
        [
            "unknown key 'messagess' in a test file; did you mean 'messages'?",
            "unknown key 'test' in a test file; did you mean 'tests'?",
        ],
    ),
    ("tests: →[]\n", ["'tests' is empty; it takes at least one"]),
    ("tests: →5\n", ["'tests' takes a list, and this is a number, '5' (quotes make it text)"]),
    (
        "tests:\n- →7\n",
        ["a test is a mapping, and this is a number, '7' (quotes make it text)"],
    ),
    (
        "tests:\n- →name: a\n  awards: {}\n",
        ["missing key 'incoming' in a test"],
    ),
    (
        "tests:\n- →{name: a, incoming: [{topic: a}]}\n",
        ["a test without expectations; add 'awards' or 'no_awards'"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a, →award: {}, awards: {}}]}\n",
        ["unknown key 'award' in an incoming message; did you mean 'awards'?"],
    ),
    (
        "tests:\n- {name: a, past: [{topic: a, →user: a}], incoming: [{topic: a}], awards: {}}\n",
        ["unknown key 'user' in a past message; did you mean 'username'?"],
    ),
    (
        "tests:\n- {name: a, incoming: [→{msg: {}}], awards: {}}\n",
        ["missing key 'topic' in a message"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: →7}], awards: {}}\n",
        ["'topic' is text, and this is a number, '7' (quotes make it text)"],
    ),
    (
        'tests:\n- {name: a, incoming: [→{topic: "a\\0"}], awards: {}}\n',
        ["'a\\x00' cannot be a topic"],
    ),
    (
        f"{PUSH}tests:\n- {{name: a, incoming: [{{like: →pus, from: a}}], awards: {{}}}}\n",
        ["no message 'pus' under 'messages'; did you mean 'push'?"],
    ),
    (
        "tests:\n- {name: a, incoming: [{like: →7}], awards: {}}\n",
        ["'like' is text, and this is a number, '7' (quotes make it text)"],
    ),
    (
        "tests:\n- {name: a, incoming: [{like: →pull}], awards: {}}\n",
        ["no message 'pull' under 'messages'; there is none at all"],
    ),
    (
        f"{PUSH}tests:\n- {{name: a, incoming: [→{{like: push}}], awards: {{}}}}\n",
        ["a text has %(from)s, but the message has no 'from'"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a, msg: {b: '→%(form)s'}}], awards: {}}\n",
        ["nothing to fill in for %(form)s; did you mean 'from'?"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a, msg: {b: '→%(from'}}], awards: {}}\n",
        ["a template that does not end in ')s'; write it as %(msg.user)s"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a, msg: {b: →.inf}}], awards: {}}\n",
        ["'.inf' is not a number that a message can have"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a, msg: →[]}], awards: {}}\n",
        ["'msg' is a mapping, and this is a list"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a, count: →0}], awards: {}}\n",
        ["'count' is a whole number, 1 to 10000"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a, every: →day}], awards: {}}\n",
        ["'every' is a length of time, such as '1 day' or '90 minutes'"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a, timestamp: →soon}], awards: {}}\n",
        ["'timestamp' is a date, seconds since 1970 or an age such as '3 days ago'"],
    ),
    (
        "tests:\n- {name: a, incoming: [→{topic: a, timestamp: 9999-12-31, count: 9999}],"
        " awards: {}}\n",
        ["sent at a time that is out of range"],
    ),
    (
        "tests:\n- {name: a, past: [→{topic: a, count: 2, every: 1900 years}],"
        " incoming: [{topic: a}], awards: {}}\n",
        ["sent at a time that is out of range"],
    ),
    (
        "tests:\n- {name: a, past: [{topic: a, count: 9000}],"
        " incoming: [→{topic: a, from: [a, b], count: 501}], awards: {}}\n",
        ["with these, the test has more than 10000 messages"],
    ),
    (
        "tests:\n- {name: a, past: [{topic: a, msg_id: b}],"
        " incoming: [→{topic: a, msg_id: b}], awards: {}}\n",
        ["another message has the msg_id 'b'"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a}], awards: {→a b: test-badge}}\n",
        ["'a b' cannot be an account: it has characters that no account name has"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a}], awards: {a: →[]}}\n",
        ["'a' is empty; it takes at least one"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a}], awards: →a}\n",
        ["'awards' is a mapping, and this is text"],
    ),
    (
        "tests:\n- {name: a, incoming: [{topic: a}], no_awards: →{}}\n",
        ["'no_awards' is empty; it takes at least one"],
    ),
    (
        "holds: {a: →tset-badge}\ntests:\n- {name: a, incoming: [{topic: a, awards: {a:"
        " [test-badge, →other]}}], no_awards: {a: →badge}}\n",
        [
            "no tested rule awards 'tset-badge'; did you mean 'test-badge'?",
            "no tested rule awards 'other'; expected 'test-badge'",
            "no tested rule awards 'badge'; did you mean 'test-badge'?",
        ],
    ),
    (
        f"opted_out: →1.5\naccounts: →[a]\nnow: →soon\n{TESTS}",
        [
            "'opted_out' is text, and this is a number, '1.5' (quotes make it text)",
            "'accounts' is a mapping, and this is a list",
            "'now' is a date, seconds since 1970 or an age such as '3 days ago'",
        ],
    ),
    (
        f"accounts: {{a: {{avatar: →1, →group: b}}}}\n{TESTS}",
        [
            "'avatar' is Yes or No",
            "unknown key 'group' in an account; did you mean 'groups'?",
        ],
    ),
    (f"rules: [→missing.yml]\n{TESTS}", ["there is no rule file 'missing.yml'"]),
    (
        "→name: a\ntrigger: {topic: a}\n",
        ["this is a rule; its tests would be in 'rule.yml.test.test'"],
    ),
]


@pytest.fixture(scope="module")
def runner() -> RuleTestRunner:
    return make_runner()


def assert_mistakes(runner: RuleTestRunner, directory: Path, marked: str, *expected: str) -> None:
    """Checks the mistakes of a test file: one message for each place that is marked in it."""
    pieces = marked.split(HERE)
    before = ["".join(pieces[:count]) for count in range(1, len(pieces))]
    places = [(text.count("\n") + 1, len(text) - text.rfind("\n")) for text in before]
    path = write_suite(directory, "".join(pieces), counting(1))
    assert mistakes(runner, path) == [
        f"rule.yml.test:{line}:{column}: {text}"
        for (line, column), text in zip(places, expected, strict=True)
    ]


def test_file_with_every_key_has_no_mistakes(runner: RuleTestRunner, tmp_path: Path) -> None:
    assert_mistakes(runner, tmp_path, EVERYTHING)


@pytest.mark.parametrize(("text", "expected"), MISTAKES)
def test_mistake_is_reported_at_its_place_with_a_hint(
    runner: RuleTestRunner, tmp_path: Path, text: str, expected: list[str]
) -> None:
    assert_mistakes(runner, tmp_path, text, *expected)


def test_file_of_another_name_needs_the_key_rules(runner: RuleTestRunner, tmp_path: Path) -> None:
    write_suite(tmp_path, "", counting(1))
    (tmp_path / "deep").mkdir()
    path = tmp_path / "deep/any-name.yml"
    path.write_text(TESTS)
    (found,) = mistakes(runner, path)
    assert found.startswith("any-name.yml:1:1: missing key 'rules' in a test file; only a file")

    path.write_text(f"rules: ../rule.yml\n{TESTS}")
    assert mistakes(runner, path) == []


def test_mistakes_in_the_tested_rules_are_reported(runner: RuleTestRunner, tmp_path: Path) -> None:
    path = write_suite(tmp_path, f"rules: [rule.yml, a.yml, b.yml]\n{TESTS}", counting(1))
    (tmp_path / "a.yml").write_text(counting(2))
    (tmp_path / "b.yml").write_text(counting(1, "Other") + "topc: 1\n")

    duplicate, unknown = mistakes(runner, path)

    assert duplicate.startswith("a.yml:1:1: the badge 'test-badge' has a rule already")
    assert unknown.startswith("b.yml:12:1: unknown key 'topc' in a rule")


def test_rule_files_and_test_files_are_told_apart_by_name(tmp_path: Path) -> None:
    from support.rule_text import PARSING

    rules = ("a.yml", "b.yaml", "c.test.yml", "test.yml", "d.tests.yaml")
    tests = ("a.yml.test", "b.yaml.test", "sub/e.yml.test")
    for name in (*rules, *tests, ".f.yml.test", "g.test", "h.yml.tests"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(counting(1, name) if name in rules else TESTS)

    loaded = load_directory(tmp_path, PARSING)

    assert loaded.problems == ()
    assert sorted(Path(rule.place.path).name for rule in loaded.rules) == sorted(rules)
    assert [
        str(path.relative_to(tmp_path)) for path in files_at([tmp_path], TEST_FILES)[0]
    ] == list(tests)


_WORDS = st.one_of(
    st.sampled_from(["rules", "tests", "name", "messages", "past", "incoming", "awards", "like"]),
    st.sampled_from(["from", "count", "every", "topic", "msg", "timestamp", "now", "accounts"]),
    st.sampled_from(["opted_out", "holds", "usernames", "nicks", "push", "alice", "test-badge"]),
    st.sampled_from(["1", "0", "-5", "1e400", ".nan", "Yes", "null", "2024-01-01", "9999999999"]),
    st.sampled_from(
        ["'%(from)s'", "'%(x)s'", "'%('", "''", '"\\0"', '"\\ud800"', "&a", "*a", "<<"]
    ),
    st.sampled_from(["1 day", "3 days ago", "1900 years", "1900 years ago", "99999 years ago"]),
)
_NODES = st.recursive(
    _WORDS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(_WORDS, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)
_KEYS = "topic msg like from count every timestamp usernames msg_id awards no_awards i agent"
_ITEM = st.dictionaries(st.sampled_from(_KEYS.split(" ")), _NODES, max_size=5).map(
    lambda item: "{" + ", ".join(f"{key}: {value}" for key, value in item.items()) + "}"
)


@given(
    st.binary(max_size=200)
    | st.lists(st.tuples(_WORDS, _NODES), max_size=5).map(
        lambda pairs: "".join(f"{key}: {value}\n" for key, value in pairs).encode()
    )
    | st.tuples(_NODES, _ITEM, _ITEM).map(
        lambda parts: (
            f"{PUSH}holds: {parts[0]}\ntests:\n- name: a\n  past: [{parts[1]}]\n"
            f"  incoming: [{parts[2]}]\n  awards: {{}}\n"
        ).encode()
    )
)
@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_file_with_any_content_is_parsed_or_its_mistakes_are_reported(data: bytes) -> None:
    path = Path("rule.yml.test")
    problems = Problems()
    try:
        parse_suite(data, path, problems)
    except RuleError as error:
        found = [*problems, *error.problems]
    else:
        found = list(problems)

    assert all(problem.place.path == str(path) for problem in found)
