"""Counters of rules: the funnel, why messages got no further, and when a rule is in trouble."""

import json
import logging
import threading
from collections.abc import Iterable
from dataclasses import asdict

import pytest
from support.builders import make_message
from support.rule_text import load

from fedbadges.engine.funnel import Funnel, Reason, Trouble, reason_for_nobody, reason_of
from fedbadges.engine.statistics import WARN_AFTER, RuleStatistics, log_trouble
from fedbadges.errors import MissingValue
from fedbadges.messages import Message
from fedbadges.rules.recipients import NamedPerson, account
from fedbadges.rules.rule import Rule

BODY = """\
trigger: {topic: wiki.edit}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(msg.owner)s"]}
  operation: count
  condition: {greater than: 1}
recipient: "%(msg.usr)s"
"""
RULE = load(BODY)
NO_USER = Reason("'msg.usr' is missing", "msg.usr")
NO_OWNER = Reason("'msg.owner' is missing", "msg.owner")
EDIT = make_message("wiki.edit", {"user": "alice", "title": "Main"})


class Run:
    """Statistics with a clock, and what they warned of."""

    def __init__(self) -> None:
        self.now = 0.0
        self.warned: list[Trouble] = []
        self.statistics = RuleStatistics(self.warned.append, lambda: self.now)

    def trigger(
        self,
        times: int = 1,
        reason: Reason | None = NO_USER,
        message: Message = EDIT,
        rule: Rule = RULE,
    ) -> None:
        """Count that messages trigger the rule, and whether they name nobody."""
        for _ in range(times):
            self.statistics.matched(message, (), [(rule, reason)])

    def judge(self, times: int, reason: Reason | None = None) -> None:
        """Count that messages name somebody, and whether the criteria can be judged."""
        for _ in range(times):
            self.trigger(1, None)
            self.statistics.looked_up([(RULE, True)])
            self.statistics.judged(EDIT, [(RULE, False, reason)])

    @property
    def in_trouble(self) -> bool:
        return self.statistics.trouble(RULE) is not None


def test_counts_of_several_threads_add_up() -> None:
    statistics = RuleStatistics()
    rules = (RULE,)
    messages = [make_message(f"topic.{number}") for number in range(3)]

    def work() -> None:
        for number in range(2000):
            message = messages[number % 3]
            statistics.matched(message, rules, [(RULE, NO_USER if number % 2 else None)])
            statistics.looked_up([(RULE, number % 2 == 0)])
            statistics.judged(message, [(RULE, True, None)])
            statistics.awarded(RULE.badge.id, "alice", message)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = statistics.funnel(RULE.badge.id)
    assert asdict(found) | {"stops": ()} == asdict(Funnel(8000, 8000, 4000, 4000, 8000, 8000))
    assert [(stop.count, stop.total) for stop in found.stops] == [(4000, 8000)]
    assert statistics.awards == 8000


def test_seen_messages_are_counted_for_each_rule_of_their_topic() -> None:
    statistics = RuleStatistics()
    other = load(BODY + "name: Other\n")
    both, one = (RULE, other), (RULE,)

    for topic, rules in [("a", both), ("b", one), ("a", both), ("a", one), ("b", one)]:
        statistics.matched(make_message(topic), rules)

    assert statistics.funnel(RULE.badge.id).seen == 5
    assert statistics.funnel(other.badge.id).seen == 2


def test_topics_without_end_are_counted_in_bounded_memory() -> None:
    statistics = RuleStatistics()
    rules = (RULE,)

    for number in range(25_000):
        statistics.matched(make_message(f"topic.{number}"), rules)

    assert len(statistics._topics) <= 10_000
    assert statistics.funnel(RULE.badge.id).seen == 25_000


def test_rule_is_in_trouble_after_20_messages_that_name_nobody() -> None:
    run = Run()

    run.trigger(WARN_AFTER - 1)
    assert (run.warned, run.in_trouble) == ([], False)
    run.trigger()

    assert run.in_trouble
    assert list(map(str, run.warned)) == [
        "rule.yml:6:13: the latest 20 messages that triggered the rule gave nobody the badge; "
        "in all of them 'msg.usr' is missing; they have 'msg.user'"
    ]


def test_rule_is_in_trouble_after_20_messages_whose_criteria_lack_a_field() -> None:
    run = Run()

    run.judge(WARN_AFTER, NO_OWNER)

    (trouble,) = run.warned
    assert str(trouble) == (
        "rule.yml:3:44: the latest 20 messages with candidates gave nobody the badge; "
        "in all of them 'msg.owner' is missing; they have 'msg.user'"
    )
    assert trouble.stop.part == "filter"


NO_ACCOUNT = reason_for_nobody(RULE, [NamedPerson("zed", None, "belongs to no account")])


def test_people_without_accounts_do_not_mean_that_the_rule_is_in_trouble() -> None:
    run = Run()

    run.trigger(10 * WARN_AFTER, NO_ACCOUNT)

    assert (run.warned, run.in_trouble) == ([], False)
    (stop,) = run.statistics.funnel(RULE.badge.id).stops
    assert str(stop) == "in all of them the recipient belongs to no account"


def test_rule_is_in_trouble_though_there_were_people_without_accounts() -> None:
    run = Run()
    run.trigger(10 * WARN_AFTER, NO_ACCOUNT)

    run.trigger(WARN_AFTER)

    assert run.in_trouble
    stops = run.statistics.funnel(RULE.badge.id).stops
    assert [(stop.count, stop.total) for stop in stops] == [(200, 220), (20, 220)]


def test_messages_that_name_holders_only_leave_the_criteria_in_trouble() -> None:
    run = Run()
    run.judge(WARN_AFTER, NO_OWNER)

    run.trigger(5, None)

    assert run.in_trouble


@pytest.mark.parametrize("held", [True, False])
def test_trouble_ends_with_a_message_that_the_criteria_can_judge(held: bool) -> None:
    run = Run()
    run.judge(WARN_AFTER, NO_OWNER)

    run.statistics.judged(EDIT, [(RULE, held, None)])

    assert not run.in_trouble


def test_trouble_ends_with_a_message_that_names_somebody() -> None:
    run = Run()
    run.trigger(WARN_AFTER)

    run.trigger(1, None)

    assert not run.in_trouble


def test_rule_that_worked_before_is_in_trouble_after_20_messages_in_a_row() -> None:
    run = Run()
    run.trigger(500, None)

    run.trigger(WARN_AFTER)

    assert run.in_trouble


def test_rule_that_works_for_few_messages_is_not_in_trouble_between_them() -> None:
    run = Run()
    for _ in range(10):
        run.trigger(1, None)
        run.trigger(WARN_AFTER - 1)
    run.trigger(1, None)

    run.trigger(10 * WARN_AFTER)
    assert (run.warned, run.in_trouble) == ([], False)

    run.trigger(10 * WARN_AFTER)
    assert run.in_trouble


def test_trouble_is_warned_of_once_a_day() -> None:
    run = Run()
    run.trigger(3 * WARN_AFTER)
    assert len(run.warned) == 1

    run.now = 86_399
    run.trigger()
    assert len(run.warned) == 1

    run.now = 86_400
    run.trigger(5)
    assert len(run.warned) == 2
    assert run.warned[1].stop.total == 3 * WARN_AFTER + 2


def test_trouble_that_comes_back_the_same_day_is_not_warned_of_again() -> None:
    run = Run()
    run.trigger(WARN_AFTER)
    run.trigger(1, None)

    run.trigger(100 * WARN_AFTER)

    assert run.in_trouble
    assert len(run.warned) == 1


def test_rule_that_is_reloaded_unchanged_stays_in_trouble() -> None:
    run = Run()
    run.trigger(WARN_AFTER)

    assert run.statistics.trouble(load(BODY)) is not None


def test_trouble_ends_when_the_rule_is_reloaded_with_changes() -> None:
    run = Run()
    run.trigger(WARN_AFTER)
    changed = load(BODY.replace("msg.usr", "msg.user"))

    assert run.statistics.trouble(changed) is None
    run.trigger(WARN_AFTER - 1, rule=changed)
    assert run.statistics.trouble(changed) is None
    run.trigger(1, rule=changed)

    assert run.statistics.trouble(changed) is not None
    assert len(run.warned) == 2


def test_nearest_path_is_one_that_all_of_the_messages_have() -> None:
    run = Run()
    run.trigger(WARN_AFTER - 5)

    for number in range(5):
        run.trigger(1, message=make_message("wiki.edit", {f"usr{number}": 1, "users": ["bob"]}))

    (trouble,) = run.warned
    assert trouble.stop.nearest == "msg.users"


def test_different_reasons_are_counted_apart() -> None:
    run = Run()

    run.trigger(3)
    run.trigger(WARN_AFTER, Reason("the recipient is not text"))

    (first, second) = run.statistics.funnel(RULE.badge.id).stops
    assert str(first) == "in 20 of them the recipient is not text"
    assert str(second) == "in 3 of them 'msg.usr' is missing; they have 'msg.user'"


def test_reasons_are_bounded() -> None:
    run = Run()
    for number in range(1000):
        run.trigger(1, Reason(f"of many, this is {number}"))

    stops = run.statistics.funnel(RULE.badge.id).stops
    assert len(stops) == 11
    assert sum(stop.count for stop in stops) == 1000


def test_missing_path_is_named_however_many_reasons_came_before() -> None:
    run = Run()
    for number in range(100):
        run.judge(1, Reason(f"of many, this is {number}"))

    run.judge(10 * WARN_AFTER, NO_OWNER)

    trouble = run.statistics.trouble(RULE)
    assert trouble is not None
    assert trouble.stop.missing == "msg.owner"


HOSTILE = ["a\nb", "\x1b[31mred", "\u202eabc", "\ud800", 'a" b=c', "<script>"]


def test_names_in_hostile_messages_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "fedbadges")
    for key in HOSTILE:
        statistics = RuleStatistics(log_trouble)
        message = make_message("wiki.edit", {f"usr{key}": 1})
        rule = load(BODY.replace("msg.usr", "msg.usrab"))
        for _ in range(WARN_AFTER):
            missing = Reason("it is missing", "msg.usrab")
            statistics.matched(message, (), [(rule, missing)])

        funnel = statistics.funnel(rule.badge.id)
        assert json.dumps(asdict(funnel)).isascii()
        assert str(statistics.trouble(rule)).isprintable()
        assert all(reason.isprintable() for reason in funnel.reasons)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(HOSTILE)
    assert all(line.isprintable() for line in lines)
    start = "Rule cannot work with the messages that trigger it rule=rule.yml:6:13 "
    assert all(line.startswith(f"{start}badge=test-badge count=20 reason=") for line in lines)


def test_reasons_of_errors_have_no_text_of_the_message() -> None:
    assert reason_of(MissingValue("the message has no msg.a", "msg.a")) == Reason(
        "'msg.a' is missing", "msg.a"
    )
    assert (
        reason_of(MissingValue("nothing to filter users by")).text == "nothing to filter users by"
    )
    assert reason_of(KeyError("alice")) == Reason("the rule raises KeyError")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([account(5)], "the recipient is not text"),
        ([account("127.0.0.1")], "the recipient is an IP address"),
        ([], "'%(msg.usr)s' names nobody"),
    ],
)
def test_reasons_for_nobody(found: Iterable, text: str) -> None:
    assert reason_for_nobody(RULE, list(found)).text == text


def test_reason_for_nobody_without_a_recipient() -> None:
    rule = load(BODY.replace("recipient", "tags"))

    assert reason_for_nobody(rule, []).text == "fedmsg.meta names nobody"
