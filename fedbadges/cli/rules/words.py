"""A rule in words."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from rich.tree import Tree

from fedbadges.cli.explain.checks import name_of
from fedbadges.cli.terminal import make_tree
from fedbadges.criteria.datanommer import past_messages
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import Filter, FilterEntry, templates_in
from fedbadges.rules.operators import AllOf, Check, Not, operands
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, required_names
from fedbadges.util.text import pluralize


def topics_of(rule: Rule) -> list[str]:
    """Return the topics, or ends of topics, and categories of which a message must have one.

    Empty if any message may trigger the rule.
    """
    names = required_names(rule.trigger) or ()
    found = (f"{each.name}.*" if isinstance(each, Category) else each.suffix for each in names)
    return list(dict.fromkeys(found))


def one_line(check: Check[Any], within: bool = False) -> str:
    """Return a trigger or criteria on one line; empty if there are none."""
    parts = operands(check)
    if not parts:
        return "" if isinstance(check, AllOf) else name_of(check).removeprefix("datanommer ")
    if isinstance(check, Not):
        return f"not {one_line(parts[0], True)}"
    word = " and " if isinstance(check, AllOf) else " or "
    text = word.join(one_line(each, True) for each in parts)
    return f"({text})" if within and len(parts) > 1 else text


def recipients_of(rule: Rule) -> str:
    """Return whom a rule names, on one line."""
    if not rule.has_trigger:
        return "whoever is awarded a badge"
    named = "the users of the message"
    if rule.recipient is not None:
        named = " or else ".join(each.text for each in rule.recipient.templates)
    if rule.excepted is not None:
        named += f", except {', '.join(each.text for each in rule.excepted.templates)}"
    return named


def tree_of_rule(rule: Rule) -> Iterator[Tree]:
    """Yield trees of a rule's trigger, criteria and recipient."""
    yield make_tree("trigger", [_tree(rule.trigger)])
    if operands(rule.criteria) or not isinstance(rule.criteria, AllOf):
        yield make_tree("criteria", [_tree(rule.criteria)])
    yield make_tree(f"recipient: {recipients_of(rule)}")
    if rule.first is not None:
        people = pluralize(rule.first, "person", "people")
        yield make_tree(f"at most {people}, in the order of their messages")


def _tree(check: Check[Any]) -> Tree:
    question = past_messages(check)
    below = [_tree(each) for each in operands(check)]
    if question is not None:
        below = [make_tree(line) for line in _filter(question.filter)]
    return make_tree(name_of(check), below)


def _filter(chosen: Filter) -> Iterator[str]:
    for key, entry in chosen.entries:
        yield f"{key}: {_entry(entry)}"


def _entry(entry: FilterEntry) -> str:
    """Return what a rule has for a key of a filter."""
    if isinstance(entry, Expression):
        return f"lambda {entry.text}"
    if isinstance(entry, datetime.timedelta):
        days, rest = divmod(entry, datetime.timedelta(days=1))
        return f"{entry if rest else pluralize(days, 'day')} before the message"
    if isinstance(entry, datetime.datetime):
        return f"{entry:%Y-%m-%d %H:%M:%S}"
    return ", ".join(each.text for each in templates_in(entry))
