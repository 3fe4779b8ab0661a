"""Templates: ``%(dotted.path)s``, filled from the message."""

import pytest
from support.rule_text import message

from fedbadges.errors import MissingValue, Place
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import parse_template
from fedbadges.rules.yaml_document import ScalarNode

BODY = message(
    msg={
        "name": "alice",
        "count": 3,
        "flag": False,
        "nothing": None,
        "authors": [{"name": "bob"}, {"name": "carol"}],
        "commit": {"username": "dave"},
        "a.b": {"c": "dotted"},
        "0": "zero",
        "percent": "50%(name)s %s %%",
    }
).body


def fill(text: str) -> object:
    problems = Problems()
    template = parse_template(ScalarNode(Place("x", 1, 1), text, text, literal=True), problems)
    assert template is not None, list(problems)
    return template.fill(BODY)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("%(topic)s", "org.fedoraproject.prod.git.receive"),
        ("%(msg.commit.username)s", "dave"),
        ("%(msg.count)s", 3),
        ("%(msg.flag)s", False),
        ("%(msg.nothing)s", None),
        ("%(msg.authors)s", [{"name": "bob"}, {"name": "carol"}]),
        ("%(msg.commit)s", {"username": "dave"}),
        ("%( msg.count )s", 3),
    ],
)
def test_a_single_template_returns_the_typed_value(template, value):
    found = fill(template)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("by %(msg.name)s", "by alice"),
        ("%(msg.name)s ", "alice "),
        ("%(msg.name)s%(msg.count)s", "alice3"),
        ("%(msg.flag)s!", "False!"),
        ("%(msg.count)s%%", "3%"),
        ("no template", "no template"),
        ("100 % (sure) s", "100 % (sure) s"),
        ("%s %d %", "%s %d %"),
        ("%%(msg.name)s", "%(msg.name)s"),
    ],
)
def test_a_template_within_text_returns_text(template, text):
    assert fill(template) == text


def test_a_template_in_a_filled_in_value_is_not_filled_in():
    assert fill("<%(msg.percent)s>") == "<50%(name)s %s %%>"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("%(msg.authors.0.name)s", "bob"),
        ("%(msg.authors.1.name)s", "carol"),
        ("%(msg.0)s", "zero"),
    ],
)
def test_a_template_path_may_have_list_indices(template, value):
    assert fill(template) == value


def test_a_template_path_finds_keys_with_dots():
    assert fill("%(msg.a.b.c)s") == "dotted"


@pytest.mark.parametrize(
    "path",
    [
        "lacking",
        "msg.lacking",
        "msg.name.more",
        "msg.count.0",
        "msg.nothing.more",
        "msg.authors.2.name",
        "msg.authors.-1.name",
        "msg.authors.name",
        "msg.authors.999999999999999999999",
        "msg.name.0",
        "msg.name.__class__",
        "recipient",
    ],
)
def test_a_template_path_that_the_message_lacks_is_missing(path):
    with pytest.raises(MissingValue, match="the message has no"):
        fill(f"%({path})s")
    with pytest.raises(MissingValue, match="the message has no"):
        fill(f"in text: %({path})s")


def test_a_value_that_cannot_be_written_as_text_is_missing():
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    problems = Problems()
    text = "in text: %(msg)s"
    template = parse_template(ScalarNode(Place("x", 1, 1), text, text, literal=True), problems)
    assert template is not None
    with pytest.raises(MissingValue):
        template.fill({"msg": nested})
