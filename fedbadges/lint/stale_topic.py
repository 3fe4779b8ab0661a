"""Rules that wait for topics of which no message was sent for a year."""

import datetime
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.errors import Place
from fedbadges.history.topics import TopicHistory
from fedbadges.lint.findings import Finding
from fedbadges.messages import category_of
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.filters import templates_in
from fedbadges.rules.operators import Check, Not, operands
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, Topic
from fedbadges.util.text import quoted

#: After this time without a message, a topic counts as stale.
LONG = datetime.timedelta(days=365)

#: What a rule waits for: where it says so, a topic, the end of one or a category, and what matches.
_Wait = tuple[Place, str, Callable[[str], bool]]


def stale_topic(topics: TopicHistory, rule: Rule) -> Iterator[Finding]:
    """Find the topics that a rule waits for though no message came for a year."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for place, what, matches in _waits(rule):
        last = topics.last_seen(matches)
        if last is None:
            yield Finding(place, "stale-topic", f"no message of {what} was ever seen")
        elif last < now - LONG:
            text = f"no message of {what} was seen since {last:%Y-%m-%d}"
            yield Finding(place, "stale-topic", text)


def _waits(rule: Rule) -> Iterator[_Wait]:
    yield from _in_trigger(rule.trigger)
    for criterion in backend_criteria(rule.criteria):
        if isinstance(criterion, PastMessages):
            for template in templates_in(dict(criterion.filter.entries).get("topics", ())):
                if not template.paths:
                    what = f"the topic {quoted(template.text)}"
                    yield template.place, what, partial(operator.eq, template.text)


def _in_trigger(trigger: Check[Any]) -> Iterator[_Wait]:
    if isinstance(trigger, Topic):
        end = f".{trigger.suffix}"
        what = f"the topic {quoted(trigger.suffix)}"
        yield trigger.name_place, what, lambda topic: f".{topic}".endswith(end)
    elif isinstance(trigger, Category):
        name, what = trigger.name, f"the category {quoted(trigger.name)}"
        yield trigger.name_place, what, lambda topic: category_of(topic) == name
    elif not isinstance(trigger, Not):
        for part in operands(trigger):
            yield from _in_trigger(part)
