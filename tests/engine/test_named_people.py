"""What the engine makes of ``except``, of several recipients and of rules without criteria."""

from pathlib import Path

import pytest
from support.builders import candidates_of, make_message, make_rule, make_settings, statements
from support.databases import Databases

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.cli.explain.output import trees_of
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.explanation import Explainer
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.messages import Message
from fedbadges.rules.index import RuleSet
from fedbadges.tahrir.database import Tahrir

REVIEWED = "trigger: {topic: bodhi.update.comment}\n"
AUTHOR = REVIEWED + 'recipient: {any: ["%(msg.author)s", "%(msg.agent)s"]}\n'
OF_OTHERS = AUTHOR + 'except: ["%(msg.submitter)s", "%(msg.bots)s"]\n'


class Deployment:
    """An engine with its databases."""

    def __init__(self, databases: Databases, directory: Path) -> None:
        self.settings = make_settings(databases, directory)
        self.tahrir = Tahrir(self.settings)
        recipients = RecipientFinder(self.settings, FedmsgUsernames(self.settings.fedmsg))
        self.engine = BadgeEngine(self.settings, self.tahrir, recipients, RuleSet())

    def load(self, *bodies: str) -> None:
        """Put rules into force, called ``rule-0`` and so on."""
        rules = [make_rule(self.settings, f"Rule {n}", body) for n, body in enumerate(bodies)]
        self.tahrir.publish_badges(rule.badge for rule in rules)
        self.engine.rules = RuleSet(rules)

    def people(self, message: Message) -> dict[str, tuple[str, ...]]:
        """Return the candidates for each badge."""
        candidates = candidates_of(self.engine, message)
        people = () if candidates is None else candidates.people
        return {rule.badge.id: names for rule, names in people}


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> Deployment:
    return Deployment(sqlite_database, tmp_path)


def comment(**msg: object) -> Message:
    return make_message("bodhi.update.comment", {"submitter": "bob", "bots": []} | msg)


def test_each_rule_excepts_its_own_people(deployment: Deployment) -> None:
    deployment.load(AUTHOR, OF_OTHERS, AUTHOR)

    found = deployment.people(comment(author=["Bob", "grace", "robot"], bots=["robot"]))

    everybody = ("bob", "grace", "robot")
    assert found == {"rule-0": everybody, "rule-1": ("grace",), "rule-2": everybody}


def test_users_of_a_message_are_excepted_without_a_recipient(deployment: Deployment) -> None:
    rule = "trigger: {topic: logger.log}\n"
    deployment.load(rule, rule + 'except: "%(msg.owner)s"\n')

    message = make_message("logger.log", {"owner": "alice"}, username="alice")

    assert deployment.people(message) == {"rule-0": ("alice",)}


def test_only_excepted_people_are_no_stop(deployment: Deployment) -> None:
    deployment.load(OF_OTHERS)

    assert deployment.people(comment(agent="bob")) == {}

    assert deployment.engine.statistics.funnel("rule-0").stops == ()


def test_a_message_that_lacks_who_is_excepted_is_a_stop(deployment: Deployment) -> None:
    deployment.load(OF_OTHERS)

    message = make_message("bodhi.update.comment", {"agent": "grace", "bots": [], "submiter": "a"})
    assert deployment.people(message) == {}

    (stop,) = deployment.engine.statistics.funnel("rule-0").stops
    assert (stop.part, stop.missing, stop.nearest) == ("except", "msg.submitter", "msg.submiter")


def test_a_rule_without_criteria_awards_without_asking_datanommer(deployment: Deployment) -> None:
    deployment.load(OF_OTHERS)

    candidates = candidates_of(deployment.engine, comment(agent="grace"))
    assert candidates is not None
    assert not candidates.needs_history
    with statements(deployment.settings.history_url) as asked:
        assert deployment.engine.decide(candidates) == 1

    assert asked == []
    assert deployment.people(comment(agent="grace")) == {}


def test_explain_shows_who_is_excepted_and_that_there_are_no_criteria(
    deployment: Deployment,
) -> None:
    deployment.load(OF_OTHERS)
    explainer = Explainer(deployment.settings, deployment.engine.rules.rules)

    explained = explainer.explain(comment(author=["bob", "grace"]), full=False)

    shown = [str(line) for tree in trees_of(explained, None, 0) for line in _lines(tree)]
    assert "recipient any of %(msg.author)s, %(msg.agent)s: grace" in shown
    assert "'bob' is whom the rule excepts" in shown
    assert "criteria: none, the trigger is enough" in shown
    assert "grace gets it" in shown


def _lines(tree):
    yield tree.label
    for child in tree.children:
        yield from _lines(child)
