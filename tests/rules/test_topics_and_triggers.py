"""Triggers: which messages a rule looks at."""

import pytest
from support.rule_text import assert_mistakes, load, message

from fedbadges.errors import MissingValue

PREFIX = "org.fedoraproject.prod"


def triggers(trigger: str, topic: str, **fields: object) -> bool:
    """Tells whether a trigger, as YAML that goes below ``trigger:``, holds of a message."""
    indented = "\n".join("  " + line for line in trigger.splitlines())
    return load(f"trigger:\n{indented}\n").trigger.holds(message(topic, **fields))


@pytest.mark.parametrize(
    "topic",
    [
        "org.fedoraproject.prod.git.receive",
        "org.fedoraproject.stg.git.receive",
        "git.receive",
    ],
)
def test_a_topic_matches_the_end_of_a_messages_topic(topic):
    assert triggers("topic: git.receive", topic)


@pytest.mark.parametrize(
    "topic",
    [
        "org.fedoraproject.prod.infragit.receive",
        "org.fedoraproject.prod.git.receive.more",
        "org.fedoraproject.prod.git.receiver",
        "org.fedoraproject.prod.git",
        "receive",
        "org.fedoraproject.prod.git.Receive",
        "org.fedoraproject.prod.git-receive",
    ],
)
def test_a_topic_matches_whole_dotted_parts_only(topic):
    assert not triggers("topic: git.receive", topic)


@pytest.mark.parametrize(
    "trigger", ["topic: .git.receive", "topic: {any: [wiki, ' .git.receive ']}"]
)
def test_a_topic_with_a_leading_dot_matches_as_without(trigger):
    assert triggers(trigger, f"{PREFIX}.git.receive")
    assert triggers(trigger, "git.receive")
    assert not triggers(trigger, f"{PREFIX}.infragit.receive")


def test_a_topic_with_two_leading_dots_matches_nothing():
    assert not triggers("topic: ..git.receive", f"{PREFIX}.git.receive")


def test_a_full_topic_matches_itself_only():
    full = "topic: org.fedoraproject.prod.git.receive"
    assert triggers(full, "org.fedoraproject.prod.git.receive")
    assert not triggers(full, "org.fedoraproject.stg.git.receive")


@pytest.mark.parametrize("pattern", ["git?receive", "git.[r]eceive", "'.'"])
def test_a_topic_is_no_pattern(pattern):
    assert not triggers(f"topic: {pattern}", f"{PREFIX}.git.receive")


def test_a_category_is_the_fourth_part_of_a_topic():
    assert triggers("category: git", f"{PREFIX}.git.receive")
    assert triggers("category: git", f"{PREFIX}.git")
    assert not triggers("category: receive", f"{PREFIX}.git.receive")
    assert not triggers("category: git", f"{PREFIX}.infragit.receive")
    assert not triggers("category: git", "git.receive")


def test_a_category_is_the_third_part_of_a_virtual_topic():
    assert triggers("category: eng", "VirtualTopic.bus.eng.brew.build")
    assert not triggers("category: brew", "VirtualTopic.bus.eng.brew.build")


def test_a_topic_too_short_for_a_category_is_unclassified_as_in_datanommer():
    assert triggers("category: Unclassified", "git.receive")


def test_a_lambda_trigger_sees_the_whole_message_as_msg():
    trigger = "lambda: msg['msg']['branch'] == 'main' and msg['i'] == 7"
    assert triggers(trigger, PREFIX, msg={"branch": "main"}, i=7)
    assert not triggers(trigger, PREFIX, msg={"branch": "main"}, i=8)


@pytest.mark.parametrize(
    "expression",
    [
        "msg['msg']['agent'] == \"%(msg.update.submitter)s\"",
        "msg['msg']['agent'] == %(msg.update.submitter)s",
        "msg['msg']['agent'] in [%(msg.update.submitter)s]",
        "'%(msg.agent)s' in '%(msg.update.submitter)s, and others'",
    ],
)
def test_a_lambda_trigger_may_have_templates(expression):
    trigger = f"lambda: {expression}"
    assert triggers(trigger, PREFIX, msg={"agent": "al", "update": {"submitter": "al"}})
    assert not triggers(trigger, PREFIX, msg={"agent": "al", "update": {"submitter": "bob"}})
    with pytest.raises(MissingValue):
        triggers(trigger, PREFIX, msg={"agent": "al"})


def test_percent_signs_of_a_lambda_trigger_without_template_are_pythons_own():
    assert triggers("lambda: \"'%d%%' % msg['i'] == '7%' and msg['i'] %(2) == 1\"", PREFIX, i=7)


def test_a_text_of_a_lambda_trigger_that_python_itself_fills_is_no_template():
    trigger = "lambda: \"'%(agent)s!' % msg['msg'] == 'al!'\""
    assert triggers(trigger, PREFIX, msg={"agent": "al"})
    assert not triggers(trigger, PREFIX, msg={"agent": "bob"})


def test_a_lambda_that_begins_with_a_quoted_text_is_loaded():
    trigger = 'lambda: "a string of interest" in json.dumps(msg)'
    assert triggers(trigger, PREFIX, msg={"text": "a string of interest"})
    assert not triggers(trigger, PREFIX, msg={"text": "nothing"})


def test_a_lambda_in_quotes_as_a_whole_is_loaded():
    trigger = """lambda: '"a string of interest" in json.dumps(msg)'"""
    assert triggers(trigger, PREFIX, msg={"text": "a string of interest"})
    assert not triggers(trigger, PREFIX, msg={"text": "nothing"})


@pytest.mark.parametrize(
    "line",
    [
        """lambda: 'in #channel' in json.dumps(msg)""",
        """lambda: "in #channel" in json.dumps(msg)""",
        """lambda: "in #channel" in json.dumps(msg)  # a comment""",
        """lambda:   "in #channel"   in json.dumps(msg)   """,
        """lambda: "it's in" in json.dumps(msg) or 'in #channel' in json.dumps(msg)""",
        """all:\n- lambda: "in #channel" in json.dumps(msg)\n- topic: prod""",
    ],
)
def test_a_lambda_without_quotes_is_loaded_unchanged(line):
    assert triggers(line, PREFIX, msg={"text": "in #channel"})
    assert not triggers(line, PREFIX, msg={"text": "elsewhere"})


def test_a_line_like_a_lambda_within_a_text_is_left_alone():
    rule = load('description: |\n  lambda: "a" in b\n')
    assert rule.badge.description == 'lambda: "a" in b'


ABC = ("git.receive", "wiki.edit", "bodhi.update")
OPERATORS = [
    ("all: [{topic: wiki.edit}, {category: wiki}]", {"wiki.edit"}),
    ("all: [{topic: wiki.edit}, {category: git}]", set()),
    ("any: [{topic: wiki.edit}, {category: git}]", {"wiki.edit", "git.receive"}),
    ("any: [{topic: nothing}]", set()),
    ("not: {topic: wiki.edit}", {"git.receive", "bodhi.update"}),
    ("not: {not: {topic: wiki.edit}}", {"wiki.edit"}),
    ("not: {any: [{topic: wiki.edit}, {category: git}]}", {"bodhi.update"}),
    ("all: [{not: {category: git}}, {any: [{category: git}, {category: wiki}]}]", {"wiki.edit"}),
    ("category: {any: [bodhi, git]}", {"git.receive", "bodhi.update"}),
    ("category: {not: git}", {"wiki.edit", "bodhi.update"}),
    ("category: {all: [git, {not: bodhi}]}", {"git.receive"}),
    ("category: {all: [git, bodhi]}", set()),
    ("topic: {any: [git.receive, wiki.edit]}", {"git.receive", "wiki.edit"}),
    ("topic: {not: {any: [git.receive, wiki.edit]}}", {"bodhi.update"}),
    ("topic: {all: [edit, wiki.edit]}", {"wiki.edit"}),
    ("category:\n  any:\n    - bodhi\n    - git", {"git.receive", "bodhi.update"}),
]


@pytest.mark.parametrize(("trigger", "expected"), OPERATORS)
def test_operators_combine_triggers_and_nest(trigger, expected):
    assert {topic for topic in ABC if triggers(trigger, f"{PREFIX}.{topic}")} == expected


def test_parts_of_operators_are_asked_in_order_until_one_decides():
    assert not triggers("all: [{topic: nothing}, {lambda: 1 / 0}]", PREFIX)
    assert triggers("any: [{topic: prod}, {lambda: 1 / 0}]", PREFIX)


def test_an_error_of_a_lambda_trigger_is_raised():
    with pytest.raises(KeyError):
        triggers("lambda: msg['msg']['lacking']", PREFIX)


def test_a_lambda_may_have_several_lines():
    trigger = "lambda: |\n  any(\n    part == 'b'\n    for part in msg['msg'])\n"
    assert triggers(trigger, PREFIX, msg=["a", "b"])
    assert not triggers(trigger, PREFIX, msg=["a"])


@pytest.mark.parametrize(
    ("trigger", "mistake"),
    [
        (
            "lambda: \"→%(recipient)s\" == msg['user']",
            "'%(recipient)s' stands in filters; a trigger comes before all candidates",
        ),
        (
            "lambda: \"→%(msg.user)d\" == msg['user']",
            "a template that does not end in ')s'; write it as %(msg.user)s",
        ),
        (
            "lambda: →msg['msg'].%(i)s",
            "the lambda does not compile: a template stands where no value can",
        ),
    ],
)
def test_a_template_that_cannot_be_filled_in_a_lambda_trigger_is_a_mistake(trigger, mistake):
    assert_mistakes(f"trigger:\n  {trigger}\n", mistake)
