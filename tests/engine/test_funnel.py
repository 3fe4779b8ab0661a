"""The funnel that the engine counts, with real criteria over a history."""

import dataclasses
import logging
from pathlib import Path

import pytest
from support.builders import candidates_of, make_message, make_rule, make_settings
from support.databases import Databases

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.engine.engine import BadgeEngine, Triggered
from fedbadges.engine.funnel import Funnel
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import Unavailable
from fedbadges.history.history import History
from fedbadges.messages import Message
from fedbadges.rules.index import RuleSet
from fedbadges.tahrir.database import Tahrir

RULE = """
trigger: {all: [{topic: wiki.edit}, {lambda: "msg['msg'].get('minor') is None"}]}
criteria:
  filter: {topics: ["%(topic)s"], packages: ["%(msg.package)s"]}
  operation: count
  condition: {greater than or equal to: 2}
recipient: "%(msg.user)s"
"""


class Deployment:
    """An engine with its databases."""

    def __init__(self, databases: Databases, directory: Path) -> None:
        self.settings = make_settings(databases, directory, banned_usernames=["robot"])
        self.history = History(self.settings)
        self.tahrir = Tahrir(self.settings)
        recipients = RecipientFinder(self.settings, FedmsgUsernames(self.settings.fedmsg))
        self.engine = BadgeEngine(self.settings, self.tahrir, recipients, RuleSet())

    def load(self, *bodies: str) -> None:
        """Put rules into force, called ``rule-0`` and so on."""
        rules = [make_rule(self.settings, f"Rule {n}", body) for n, body in enumerate(bodies)]
        self.tahrir.publish_badges(rule.badge for rule in rules)
        self.engine.rules = RuleSet(rules)

    def handle(self, message: Message) -> None:
        """Store a message and decide about it."""
        self.history.record(message, [], [str(message.body["msg"].get("package"))])
        candidates = candidates_of(self.engine, message)
        if candidates is not None:
            self.engine.decide(candidates)

    def funnel(self, number: int = 0) -> Funnel:
        return self.engine.statistics.funnel(f"rule-{number}")

    def numbers(self, number: int = 0) -> tuple[int, ...]:
        """Return seen, triggered, candidates, held, criteria held and awarded."""
        return dataclasses.astuple(self.funnel(number))[:6]


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> Deployment:
    return Deployment(sqlite_database, tmp_path)


def edit(**msg: object) -> Message:
    return make_message("wiki.edit", {"user": "alice", "package": "guake"} | msg)


def test_funnel_counts_messages_at_every_step(deployment: Deployment) -> None:
    deployment.load(RULE.replace("equal to: 2", "equal to: 4"))

    deployment.handle(make_message("wiki.delete"))
    deployment.handle(edit(minor=True))
    deployment.handle(edit(user=5))
    deployment.handle(edit(package="one"))
    deployment.handle(edit())
    deployment.handle(edit())
    deployment.handle(edit(user=["alice"]))
    deployment.handle(edit(user=["alice", "bob", "carol"]))

    assert deployment.numbers() == (7, 6, 4, 1, 2, 3)
    (stop,) = deployment.funnel().stops
    assert (stop.part, stop.count, stop.total) == ("recipient", 1, 6)
    assert stop.reason == "the recipient is not text"


def test_message_that_concerns_no_rule_is_not_counted(deployment: Deployment) -> None:
    deployment.load(RULE)

    assert deployment.engine.match(make_message("git.receive")) is None

    assert deployment.numbers() == (0, 0, 0, 0, 0, 0)


def test_missing_field_of_the_filter_is_a_stop_at_the_criteria(deployment: Deployment) -> None:
    deployment.load(RULE)

    for _ in range(3):
        deployment.handle(make_message("wiki.edit", {"user": "alice", "packages": []}))

    assert deployment.numbers() == (3, 3, 3, 0, 0, 0)
    (stop,) = deployment.funnel().stops
    assert (stop.part, stop.missing, stop.nearest) == ("filter", "msg.package", "msg.packages")
    assert deployment.funnel().reasons == (
        "3 messages had candidates; in all of them 'msg.package' is missing; "
        "they have 'msg.packages'.",
    )


def test_missing_field_of_the_trigger_is_a_stop_of_the_messages_seen(
    deployment: Deployment,
) -> None:
    deployment.load(RULE.replace("msg['msg'].get('minor') is None", "%(msg.titel)s == 'Main'"))

    deployment.handle(edit(title="Main"))
    deployment.handle(edit(title="Main"))
    deployment.handle(edit(titel="Main"))

    assert deployment.numbers()[:3] == (3, 1, 1)
    (stop,) = deployment.funnel().stops
    assert (stop.step, stop.part) == ("trigger", "trigger")
    assert deployment.funnel().reasons == (
        "3 messages seen; in 2 of them 'msg.titel' is missing; they have 'msg.title'.",
    )
    assert deployment.engine.statistics.trouble(deployment.engine.rules.rules[0]) is None


def test_only_banned_people_are_no_stop(deployment: Deployment) -> None:
    deployment.load(RULE)

    deployment.handle(edit(user="robot"))

    assert deployment.numbers() == (1, 1, 0, 0, 0, 0)
    assert deployment.funnel().stops == ()


@pytest.mark.parametrize("first", ["holds", "lacks"])
def test_missing_field_within_an_any_that_holds_is_no_stop(
    deployment: Deployment, first: str
) -> None:
    question = "{{filter: {{{}}}, operation: count, condition: {{greater than: 0}}}}"
    parts = [question.format('topics: ["%(topic)s"]'), question.format('users: ["%(msg.no)s"]')]
    if first == "lacks":
        parts.reverse()
    body = RULE[: RULE.index("criteria:")] + f"criteria: {{any: [{', '.join(parts)}]}}\n"
    deployment.load(body + 'recipient: "%(msg.user)s"\n')

    deployment.handle(edit())

    assert deployment.numbers() == (1, 1, 1, 0, 1, 1)
    assert deployment.funnel().stops == ()


LACKS = (
    '{filter: {users: ["%(msg.no)s"]}, operation: count, condition: {greater than: 9}}',
    "{filter: {users: [alice]}, operation: {lambda: \"query.count() - len('%(msg.no)s')\"}, "
    "condition: {greater than: 9}}",
)
FALSE = '{filter: {topics: ["%(topic)s"]}, operation: count, condition: {greater than: 9}}'


def stops_of(deployment: Deployment, criteria: str) -> list[str | None]:
    """Return which fields are missing, according to the funnel of a rule with these criteria."""
    body = RULE[: RULE.index("criteria:")] + f"criteria: {criteria}\n"
    deployment.load(body + 'recipient: "%(msg.user)s"\n')
    deployment.handle(edit())
    assert deployment.numbers() == (1, 1, 1, 0, 0, 0)
    return [stop.missing for stop in deployment.funnel().stops]


@pytest.mark.parametrize("lacks", LACKS, ids=["filter", "operation"])
@pytest.mark.parametrize("whole", ["{{all: [{}]}}", "{{not: {{any: [{{not: {}}}, {{not: {}}}]}}}}"])
@pytest.mark.parametrize("first", ["lacks", "false"])
def test_missing_field_within_an_all_is_a_stop_though_another_part_is_false(
    deployment: Deployment, first: str, whole: str, lacks: str
) -> None:
    parts = [lacks, FALSE] if first == "lacks" else [FALSE, lacks]
    if "any" not in whole:
        parts = [", ".join(parts)]

    assert stops_of(deployment, whole.format(*parts)) == ["msg.no"]


@pytest.mark.parametrize("first", ["lacks", "false"])
def test_missing_field_is_no_stop_where_another_part_of_an_any_may_hold(
    deployment: Deployment, first: str
) -> None:
    parts = [LACKS[0], FALSE] if first == "lacks" else [FALSE, LACKS[0]]

    assert stops_of(deployment, f"{{any: [{{all: [{', '.join(parts)}]}}, {FALSE}]}}") == []


def test_missing_fields_in_every_part_of_an_any_are_a_stop(deployment: Deployment) -> None:
    assert stops_of(deployment, f"{{all: [{FALSE}, {{any: [{', '.join(LACKS)}]}}]}}") == ["msg.no"]


def test_rule_that_raises_is_a_stop_that_names_the_error(deployment: Deployment) -> None:
    deployment.load(RULE.replace('["%(msg.package)s"]', "{lambda: \"msg['msg']['pkg']\"}"))

    deployment.handle(edit())

    assert deployment.funnel().reasons == (
        "1 message had candidates; in all of them the rule raises KeyError.",
    )


class AwayOnce:
    """A service that does not answer the first question of each kind."""

    def __init__(self, service: object) -> None:
        self._service = service
        self._asked: set[str] = set()

    def __getattr__(self, name: str) -> object:
        if name not in self._asked:
            self._asked.add(name)
            raise Unavailable("away")
        return getattr(self._service, name)


def test_message_that_is_judged_again_after_an_outage_is_counted_once(
    deployment: Deployment,
) -> None:
    deployment.load(RULE)
    deployment.history.record(edit(), [], ["guake"])
    deployment.engine._store = AwayOnce(deployment.tahrir)
    message = edit()
    deployment.history.record(message, [], ["guake"])
    triggered = deployment.engine.match(message)
    assert isinstance(triggered, Triggered)
    with pytest.raises(Unavailable):
        deployment.engine.find_candidates([triggered])
    (candidates,) = deployment.engine.find_candidates([triggered])
    assert candidates is not None
    with pytest.raises(Unavailable):
        deployment.engine.decide(candidates)

    assert deployment.engine.decide(candidates) == 1

    assert deployment.numbers() == (1, 1, 1, 0, 1, 1)


def test_message_that_is_matched_again_after_an_outage_lacks_a_field_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = RULE.replace("msg['msg'].get('minor') is None", "'%(msg.size)s' == 'small'")
    deployment.load(lacking, RULE)
    monkeypatch.setattr(deployment.engine, "_recipients", AwayOnce(deployment.engine._recipients))
    message = edit()
    with pytest.raises(Unavailable):
        deployment.engine.match(message)

    deployment.engine.match(message)

    (stop,) = deployment.funnel(0).stops
    assert (stop.missing, stop.count, stop.total) == ("msg.size", 1, 1)


def test_engine_itself_warns_of_nothing(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the daemon does: a replay goes through years of messages."""
    caplog.set_level(logging.WARNING, "fedbadges")
    deployment.load(RULE)

    for _ in range(30):
        deployment.engine.match(make_message("wiki.edit", {"usr": "alice"}))

    assert caplog.records == []
    rule = deployment.engine.rules.rules[0]
    trouble = deployment.engine.statistics.trouble(rule)
    assert trouble is not None
    assert trouble.stop.nearest == "msg.usr"
