"""Criteria of a backlog: answered by what there is by now, rather than up to each old position."""

import time
from pathlib import Path

import pytest
from support.builders import make_message, make_rule, make_settings, statements
from support.databases import Databases
from support.optimisations import needs

from fedbadges.criteria.datanommer import past_messages
from fedbadges.messages import Message, Position
from fedbadges.rules.criteria import POSITIONS, Question, known_to_fail
from fedbadges.rules.operators import leaves
from fedbadges.rules.rule import Rule

START = 1_700_000_000.0


def count(topic: str, condition: str, operation: str = "count") -> str:
    filtered = f'filter: {{topics: [org.fedoraproject.dev.{topic}], users: ["%(msg.user)s"]}}'
    return f"{{datanommer: {{{filtered}, operation: {operation}, condition: {{{condition}}}}}}}"


ONE = count("a", "is not: 0")
FEW = count("b", "greater than or equal to: 2")
RAISES = count("a", "greater than: 0", '{lambda: "query.all()[0].nothing"}')


class Backlog:
    """Two messages of ann about ``a``, and one about ``b``, judged long after they were sent."""

    def __init__(self, databases: Databases, directory: Path, criteria: str) -> None:
        self.settings = make_settings(databases, directory)
        body = f"""
trigger: {{topic: a}}
criteria: {criteria}
recipient: "%(msg.user)s"
"""
        self.rule: Rule = make_rule(self.settings, "one", body)
        leaf = past_messages(next(leaves(self.rule.criteria)))
        assert leaf is not None
        self.history = leaf.history
        self.first, self.position = self.store("a", 0)
        self.store("a", 1)
        self.store("b", 2)

    def store(self, topic: str, sent: float) -> tuple[Message, Position]:
        message = make_message(topic, {"user": "ann"}, timestamp=START + sent)
        return message, self.history.record(message, ["ann"], [])

    @property
    def question(self) -> Question:
        """Whether ann earned the badge with the first message."""
        return Question(self.first, "ann", position=self.position)


@needs("keep_counts")
@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (f"{{all: [{ONE}, {FEW}]}}", True),
        (f"{{all: [{ONE}, {ONE}]}}", False),
        (f"{{any: [{ONE}, {FEW}]}}", False),
        (f"{{any: [{FEW}, {FEW}]}}", True),
        (f"{{all: [{ONE}, {{any: [{FEW}, {FEW}]}}]}}", True),
        (f"{{all: [{ONE}, {{not: {FEW}}}]}}", False),
        (f"{{all: [{RAISES}, {FEW}]}}", True),
        (f"{{all: [{ONE}, {count('b', 'less than: 1')}]}}", False),
        # By itself it is answered the same way.
        (FEW, False),
    ],
)
def test_criteria_of_a_backlog_fail_without_more_where_there_are_too_few_by_now(
    criteria: str, expected: bool, database: Databases, tmp_path: Path
) -> None:
    backlog = Backlog(database, tmp_path, criteria)

    assert known_to_fail(backlog.rule.criteria, backlog.question) is expected


@needs("keep_counts")
def test_no_part_is_counted_up_to_an_old_message_where_another_has_too_few_by_now(
    database: Databases, tmp_path: Path
) -> None:
    backlog = Backlog(database, tmp_path, f"{{all: [{ONE}, {FEW}]}}")
    with statements(backlog.settings.history_url) as sent:
        assert known_to_fail(backlog.rule.criteria, backlog.question)
        assert known_to_fail(backlog.rule.criteria, backlog.question)
    assert len([each for each in sent if "count(" in each.lower()]) <= 2


def test_what_is_there_only_by_now_does_not_count_for_an_old_message(
    database: Databases, tmp_path: Path
) -> None:
    backlog = Backlog(database, tmp_path, f"{{all: [{ONE}, {FEW}]}}")
    last, position = backlog.store("b", 3)

    assert not known_to_fail(backlog.rule.criteria, backlog.question)
    assert not backlog.rule.criteria.holds(backlog.question)
    assert backlog.rule.criteria.holds(Question(last, "ann", position=position))


def test_criteria_of_a_message_that_was_just_sent_are_asked_at_once(
    database: Databases, tmp_path: Path
) -> None:
    backlog = Backlog(database, tmp_path, f"{{all: [{ONE}, {FEW}]}}")
    new = make_message("a", {"user": "ann"})

    with statements(backlog.settings.history_url) as sent:
        question = Question(new, "ann", position=backlog.history.record(new, ["ann"], []))
        sent.clear()
        assert not known_to_fail(backlog.rule.criteria, question)
    assert sent == []


@needs("keep_counts")
def test_contents_of_the_messages_of_a_batch_are_read_at_once(
    database: Databases, tmp_path: Path
) -> None:
    repositories = count("a", "equal to: 3", "{lambda: \"len({m.msg['user'] for m in query})\"}")
    backlog = Backlog(database, tmp_path, repositories)
    now = time.time() - START
    batch = [backlog.store("a", now + number) for number in range(5)]
    cache: dict[object, object] = {POSITIONS: [position for _, position in batch]}
    questions = [Question(message, "ann", {}, cache, position=at) for message, at in batch]
    backlog.rule.criteria.holds(questions[0])

    with statements(backlog.settings.history_url) as sent:
        for question in questions[1:]:
            backlog.rule.criteria.holds(question)

    assert len(sent) == 1
