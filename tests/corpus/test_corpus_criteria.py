"""Real criteria over a history of real messages: ``criteria.yaml`` says what they count.

An oracle in plain Python, which knows nothing but the YAML of the rules and a list of messages,
counts the same.
"""

import copy
import json
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import yaml
from support.builders import make_settings
from support.databases import Databases, sqlite_databases
from support.rule_text import PARSING

from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import AT_LEAST, VALUE
from fedbadges.engine.explanation import Candidate, Explainer, Verdict, without_count_cache
from fedbadges.history.history import History
from fedbadges.lint.fixes.fixer import Fixer
from fedbadges.messages import Message, parse_message
from fedbadges.replay.replay import Replay
from fedbadges.rules.loader import load_directory

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
RULES = CORPUS / "rules"
TABLE = yaml.safe_load(Path(__file__).with_name("criteria.yaml").read_text())

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not there")

#: When the first message of the history was sent; each other comes a minute after the last.
BEGIN = 1_400_000_000


class Expected(NamedTuple):
    """What criteria count of somebody's messages, and how many they need."""

    count: int
    needed: int


@dataclass(frozen=True, eq=False)
class Sent:
    """A message, and whom it concerns."""

    name: str
    message: Message
    users: frozenset[str]


def expected_pairs() -> dict[tuple[str, str], dict[str, Expected]]:
    """Return what the table has, by the rule's file and the name of the message."""
    return {
        (rule, group["message"]): {
            name: Expected(*map(int, counted.split(" of "))) for name, counted in found.items()
        }
        for group in TABLE["pairs"]
        for rule, found in group["criteria"]
    }


def read_messages() -> list[Sent]:
    """Return the messages of the corpus, and then the variants."""
    entries = {each["name"]: each for each in json.loads((CORPUS / "messages.json").read_text())}
    bodies = {name: (each["message"], each["usernames"] or []) for name, each in entries.items()}
    for variant in TABLE["variants"]:
        changes = dict(variant)
        name, (original, users) = changes.pop("name"), bodies[changes.pop("like")]
        body = copy.deepcopy(original)
        for path, value in changes.items():
            *parents, last = path.split(".")
            at = body
            for key in parents:
                at = at[key]
            at[last] = value
        bodies[name] = body, users
    return [
        sent(name, body, users, number)
        for number, (name, (body, users)) in enumerate(bodies.items())
    ]


def sent(name: str, body: dict[str, Any], users: Any, number: int, times: int = 0) -> Sent:
    when = BEGIN + 60 * number
    message = parse_message(body | {"msg_id": f"{name}-{times}", "timestamp": when})
    assert message is not None
    return Sent(name, message, frozenset(users))


class ListedUsernames:
    """Names whom the corpus lists for a message, or nobody where it does not know."""

    def __init__(self, messages: list[Sent]) -> None:
        self._users = {each.message.msg_id: each.users for each in messages}

    def users(self, message: Message) -> frozenset[str]:
        return self._users[message.msg_id]


# The oracle.


def oracle(rule: dict[str, Any], message: Sent, history: list[Sent]) -> int:
    """Return what a rule counts, from its YAML and a list of messages."""
    asked = rule["criteria"]["datanommer"]
    wanted = {
        key: {name for value in asked["filter"].get(key, []) for name in names(value, message)}
        for key in ("topics", "categories", "users")
    }
    assert asked["filter"].keys() <= {*wanted, "rows_per_page"}
    selected = [
        each
        for each in history
        if (not wanted["topics"] or each.message.topic in wanted["topics"])
        and (not wanted["categories"] or each.message.topic.split(".")[3] in wanted["categories"])
        and (
            "users" not in asked["filter"]
            or {user.lower() for user in wanted["users"]} & each.users
        )
    ]
    if asked["operation"] == "count":
        return len(selected)
    text = re.sub(
        r'"%\((.*?)\)s"', lambda found: repr(at(found[1], message)), asked["operation"]["lambda"]
    )
    # All of these lambdas are the length of a list of messages: so each can be asked about alone.
    return sum(evaluate(text, each) for each in selected)


def evaluate(text: str, message: Sent) -> int:
    """Return 1 if a lambda counts this message; one for which it raises does not count."""
    rows = [SimpleNamespace(msg=message.message.body["msg"])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of ``is 1``
        try:
            value = eval(text, {"query": SimpleNamespace(all=lambda: rows)})  # noqa: S307
        except LookupError:
            return 0
    assert value in (0, 1)
    return int(value)


def names(template: str, message: Sent) -> list[str]:
    """Return the texts of a filter's value: a name, an object with one, or a list of these."""
    found = re.fullmatch(r"%\((.*)\)s", template)
    value = at(found[1], message) if found else template
    values = value if isinstance(value, list) else [value]
    return [each["name"] if isinstance(each, dict) else each for each in values]


def at(path: str, message: Sent) -> Any:
    value: Any = message.message.body
    for key in path.split("."):
        value = value[key]
    return value


def read_yaml(file: str) -> dict[str, Any]:
    """Read a rule; where a lambda needs quotes that it lacks, add them."""
    lines = (RULES / file).read_text().splitlines()
    unquoted = re.compile(r"""(\s*(?:- )?lambda:\s*)([^"'\s].*|".*" .*)""")
    text = "\n".join(unquoted.sub(quote, line) for line in lines if not line.startswith("%"))
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def quote(line: re.Match[str]) -> str:
    return line[1] + "'" + line[2].replace("'", "''") + "'"


# What the program does.


class Answers:
    """What the engine finds for each pair of a rule and a message that triggers it.

    The rules are those in ``directory``.
    """

    def __init__(
        self, database: Databases, directory: Path, history: list[Sent], messages: list[Sent]
    ) -> None:
        settings = without_count_cache(make_settings(database, directory))
        self.settings, self.directory = settings, directory
        past = History(settings)
        for each in history:
            past.record(each.message, each.users, [])
        loaded = load_directory(directory, load_backends(settings))
        assert loaded.problems == ()
        # Of what is not stored, all past messages count, whenever they were sent.
        asked = [
            sent(each.name, dict(each.message.body), each.users, number, -1)
            for number, each in enumerate(messages)
        ]
        explainer = Explainer(settings, loaded.rules, ListedUsernames(asked))
        self.of: dict[tuple[str, str], tuple[Candidate, ...]] = {}
        for each in asked:
            for explained in explainer.explain(each.message, full=False).rules:
                assert explained.error is None, explained
                if explained.trigger is not None and explained.trigger.answer:
                    pair = Path(explained.rule.place.path).name, each.name
                    self.of[pair] = explained.candidates


@pytest.fixture(scope="module")
def messages() -> list[Sent]:
    return read_messages()


@pytest.fixture(scope="module", params=[1, 12])
def history(messages: list[Sent], request: pytest.FixtureRequest) -> list[Sent]:
    """Return a history in which each message that triggers a rule is there so many times."""
    triggering = {name for _, name in expected_pairs()}
    copies = [
        sent(each.name, dict(each.message.body), each.users, number, times)
        for times in range(1, request.param)
        for number, each in enumerate(messages)
        if each.name in triggering
    ]
    return messages + copies


@pytest.fixture(scope="module", params=["as they are", "fixed"])
def directory(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return the rules, or what ``check --fix`` makes of them."""
    if request.param == "as they are":
        return RULES
    fixed = tmp_path_factory.mktemp("rules")
    for path in RULES.iterdir():
        (fixed / path.name).write_bytes(Fixer(PARSING).fix(path.read_bytes(), path.name).after)
    return fixed


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory,
    directory: Path,
    history: list[Sent],
    messages: list[Sent],
) -> Answers:
    databases = sqlite_databases(tmp_path_factory.mktemp("databases"))
    return Answers(databases, directory, history, messages)


@pytest.mark.parametrize("directory", ["fixed"], indirect=True)
def test_hardly_any_fixed_rule_has_a_lambda(directory: Path) -> None:
    kept = [path.name for path in directory.iterdir() if "lambda" in path.read_text()]

    assert len([path for path in RULES.iterdir() if "lambda" in path.read_text()]) > 50
    assert len(kept) <= 3, kept


def test_every_rule_is_triggered_and_no_pair_is_missing(answers: Answers) -> None:
    expected = expected_pairs()

    assert set(answers.of) == set(expected)
    assert {rule for rule, _ in expected} == {path.name for path in RULES.iterdir()}


def test_no_criteria_fail(answers: Answers) -> None:
    failed = {
        (*pair, each.name): str(each.criteria and each.criteria.raised)
        for pair, candidates in answers.of.items()
        for each in candidates
        if each.criteria is None or each.criteria.raised is not None
    }
    assert failed == {}


@pytest.mark.parametrize("history", [1], indirect=True)  # as the table has it
def test_criteria_count_what_the_table_says(answers: Answers) -> None:
    expected = expected_pairs()

    for pair, candidates in answers.of.items():
        assert {each.name for each in candidates} == set(expected[pair]), pair
        for each in candidates:
            assert_answer(each, *expected[pair][each.name], pair)


def test_criteria_count_what_the_oracle_counts(
    answers: Answers, history: list[Sent], messages: list[Sent]
) -> None:
    by_name = {each.name: each for each in messages}
    verdicts: Counter[Verdict] = Counter()

    for pair, candidates in answers.of.items():
        file, name = pair
        rule = read_yaml(file)
        needed = rule["criteria"]["datanommer"]["condition"]["greater than or equal to"]
        for each in candidates:
            assert_answer(each, oracle(rule, by_name[name], history), needed, pair)
            verdicts[each.verdict] += 1

    assert set(verdicts) == {Verdict.AWARD, Verdict.CRITERIA}
    assert min(verdicts.values()) > 10


@pytest.mark.parametrize("history", [1], indirect=True)  # their order is certain
def test_replay_awards_what_the_oracle_awards(answers: Answers, history: list[Sent]) -> None:
    """Each message is judged by those before it, and the first that suffices gives the badge."""
    expected: dict[tuple[str, str], str] = {}
    for number, each in enumerate(history, 1):
        for file, name in answers.of:
            if name == each.name:
                rule = read_yaml(file)
                needed = rule["criteria"]["datanommer"]["condition"]["greater than or equal to"]
                if oracle(rule, each, history[:number]) >= needed:
                    for candidate in answers.of[file, name]:
                        expected.setdefault((file, candidate.name), name)
    replay = Replay(answers.settings)
    rules = load_directory(answers.directory, replay.backends).rules

    names = {each.message.msg_id: each.name for each in history}
    assert {
        (Path(earned.rule.place.path).name, earned.username): names[earned.message.msg_id]
        for earned in replay.run(rules)
    } == expected
    assert len(expected) > 30


def assert_answer(candidate: Candidate, count: int, needed: int, pair: tuple[str, str]) -> None:
    """Verify what criteria counted; a count may stop when it is decided."""
    criteria = candidate.criteria
    assert criteria is not None, pair
    assert criteria.answer is (count >= needed), pair
    assert candidate.verdict is (Verdict.AWARD if criteria.answer else Verdict.CRITERIA), pair
    if criteria.details.get(AT_LEAST):
        assert needed <= criteria.details[VALUE] <= count, pair
    else:
        assert criteria.details[VALUE] == count, pair
