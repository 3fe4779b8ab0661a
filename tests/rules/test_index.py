"""The index: the few rules that a topic can concern at all."""

import json

from hypothesis import given
from hypothesis import strategies as st
from support.rule_text import load, message

from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule

WORDS = st.sampled_from(["org", "prod", "git", "wiki", "receive", "VirtualTopic", "", "infragit"])
TOPICS = st.lists(WORDS, min_size=1, max_size=7).map(".".join).filter(bool)
NAMES = TOPICS.filter(str.strip)


def nested(leaves: st.SearchStrategy) -> st.SearchStrategy:
    return st.recursive(
        leaves,
        lambda parts: st.one_of(
            st.builds(lambda part: {"not": part}, parts),
            st.builds(
                lambda name, several: {name: several},
                st.sampled_from(["all", "any"]),
                st.lists(parts, min_size=1, max_size=3),
            ),
        ),
        max_leaves=6,
    )


LAMBDAS = st.sampled_from(["True", "False", "len(msg['topic']) % 2", "'git' in msg['topic']"])
TRIGGERS = nested(
    st.one_of(
        nested(NAMES).map(lambda names: {"topic": names}),
        nested(WORDS.filter(bool)).map(lambda names: {"category": names}),
        LAMBDAS.map(lambda text: {"lambda": text}),
    )
)


def rule(trigger: object) -> Rule:
    return load(f"trigger: {json.dumps(trigger)}\n")


@given(st.lists(TRIGGERS.map(rule), max_size=5), st.lists(TOPICS, min_size=1, max_size=10))
def test_the_index_returns_every_triggered_rule_in_order(rules, topics):
    index = RuleSet(rules)
    for topic in topics:
        found = message(topic)
        triggered = [rule for rule in rules if rule.trigger.holds(found)]
        concerned = index.concerned(found)
        assert [rule for rule in concerned if rule.trigger.holds(found)] == triggered


def test_the_index_returns_a_rule_about_a_topic_with_a_leading_dot():
    dotted, plain = rule({"topic": ".git.receive"}), rule({"topic": "git.receive"})
    index = RuleSet([dotted, plain])
    assert index.concerned(message("org.fedoraproject.prod.git.receive")) == (dotted, plain)
    assert index.concerned(message("org.fedoraproject.prod.infragit.receive")) == ()
    assert dotted.trigger == plain.trigger


@given(NAMES, TOPICS)
def test_the_index_returns_a_rule_about_one_topic_only_if_it_is_triggered(name, topic):
    only = rule({"topic": name})
    found = message(topic)
    assert bool(RuleSet([only]).concerned(found)) == only.trigger.holds(found)


def test_the_index_returns_nothing_for_a_message_of_no_rule():
    index = RuleSet(
        rule(trigger)
        for trigger in (
            {"topic": "git.receive"},
            {"category": "wiki"},
            {"all": [{"topic": "git.receive"}, {"lambda": "True"}]},
            {"any": [{"topic": "git.receive"}, {"category": "wiki"}]},
            {"topic": {"any": ["git.receive", "wiki.edit"]}},
        )
    )
    assert index.concerned(message("org.fedoraproject.prod.bodhi.update")) == ()
    assert index.concerned(message("org.fedoraproject.prod.infragit.receive")) == ()
    assert len(index.concerned(message("org.fedoraproject.prod.git.receive"))) == 4
    assert len(index.concerned(message("org.fedoraproject.prod.wiki.edit"))) == 3


def test_the_index_returns_negated_and_computed_triggers_for_every_message():
    index = RuleSet([rule({"not": {"topic": "git.receive"}}), rule({"lambda": "True"})])
    assert len(index.concerned(message("anything"))) == 2


def test_the_index_looks_all_up_by_its_narrowest_part():
    both = RuleSet([rule({"all": [{"lambda": "True"}, {"category": "git"}, {"topic": "a.b"}]})])
    assert both.concerned(message("org.fedoraproject.prod.git.c")) == ()
    assert len(both.concerned(message("org.fedoraproject.prod.git.a.b"))) == 1


def test_the_index_takes_topics_with_many_or_empty_parts():
    index = RuleSet([rule({"topic": "a.b"})])
    assert len(index.concerned(message("a." * 120 + "a.b"))) == 1
    assert index.concerned(message("." * 250)) == ()
