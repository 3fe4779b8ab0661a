"""Texts that are no topic or template, ids that break links, and what a comment cuts off."""

import difflib
import re
from collections.abc import Iterator

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.criteria.reading import NAMING_KEYS, paths_read
from fedbadges.lint.findings import Finding
from fedbadges.messages import CONCERNED
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.dialects import OF_2
from fedbadges.rules.filters import templates_in
from fedbadges.rules.operators import leaves
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import RECIPIENT, Template
from fedbadges.rules.triggers import Category, Topic
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.text import quoted

#: The fields of fedmsg's messages.
_FIELDS = frozenset(["msg", "msg_id", "topic", "timestamp", "i", "username", "headers", "crypto"])
_FIELDS |= {"certificate", "signature", "source_name", "source_version"}
#: The fields that templates are about, and other names of the content.
_USUAL = ("msg", "msg_id", "topic", "timestamp")
_CONTENT = ("message", "body", "content", "mgs")

_BRACES = re.compile(r"[$#]?\{\{?\s*(?P<path>[A-Za-z_][\w.]*)\s*\}?\}|<(?P<angle>[a-z_][\w.]*)>")
# Of regular expressions, shells and templates; package names, which topics may have, have '+'.
_NO_TOPIC = re.compile(r"[{}%*#$<>()\[\]|^?\\\s]")

# What cannot stand in a path.
_NO_ID = re.compile(r"[/%?#\\]")

#: The keys of texts for people, and of others that may have a '#'.
_FOR_PEOPLE = ("name", "description")
_FREE = (*_FOR_PEOPLE, "creator", "tags", "series", "contains")


def no_topic(rule: Rule) -> Iterator[Finding]:
    """Find topics and categories that no message has, and braces in place of a template."""
    for leaf in leaves(rule.trigger):
        if isinstance(leaf, (Topic, Category)):
            kind = "topic" if isinstance(leaf, Topic) else "category"
            text = leaf.suffix if isinstance(leaf, Topic) else leaf.name
            if _NO_TOPIC.search(text):
                yield Finding(leaf.name_place, "no-topic", _no_name(kind, text))
            elif kind == "topic" and "" in text.split("."):
                yield Finding(leaf.name_place, "no-topic", _no_part(text))
    for criterion in backend_criteria(rule.criteria):
        if not isinstance(criterion, PastMessages):
            continue
        for key, entry in criterion.filter.entries:
            for template in templates_in(entry):
                topic = "message.topic" if rule.dialect == OF_2 else "%(topic)s"
                problem = _problem(key.removeprefix("not_"), template, topic)
                if problem:
                    yield Finding(template.place, "no-topic", problem)


def _problem(key: str, template: Template, same: str) -> str:
    """Return what is wrong with a text of a filter, if anything; ``same`` is the own topic."""
    literal = "".join(part for part in template.parts if isinstance(part, str))
    braces = None if key == "contains" else _BRACES.search(template.text)
    if braces:
        path = braces["path"] or braces["angle"]
        meant = _meant(path, RECIPIENT) or path
        return f"{quoted(braces.group())} is no template; did you mean '%({meant})s'?"
    kind = {"topics": "topic", "categories": "category"}.get(key)
    if kind is None:
        return ""
    if _NO_TOPIC.search(literal):
        return _no_name(kind, template.text)
    if kind == "topic" and not template.paths and "" in literal.split("."):
        return _no_part(literal)
    if kind == "topic" and not template.paths and _is_end(literal):
        return (
            f"no message has the topic {quoted(literal)}: a filter has whole topics, such as "
            f"'org.fedoraproject.prod.git.receive' or '{same}'"
        )
    if kind == "category" and "." in literal:
        return f"no message has the category {quoted(literal)}: it is one part of a topic"
    return ""


def _no_name(kind: str, text: str) -> str:
    found = _NO_TOPIC.search(text)
    assert found is not None
    return (
        f"{quoted(text)} is no {kind}: none has {quoted(found.group())}, and neither patterns nor "
        "variables are known here"
    )


def _no_part(text: str) -> str:
    return f"{quoted(text)} is no topic: a part between dots, or at an end, is empty"


def _is_end(topic: str) -> bool:
    """Return True if it is too short for a whole topic, which has a category as the fourth part."""
    return topic.count(".") < 3 and not topic.startswith("VirtualTopic.")


def no_field(rule: Rule) -> Iterator[Finding]:
    """Find paths of fields that fedmsg's messages do not have."""
    for read in paths_read(rule):
        extra = RECIPIENT if read.key not in ("", *NAMING_KEYS) else ""
        meant = _meant(read.path.dotted, extra)
        if meant is not None:
            first = read.path.dotted.partition(".")[0]
            yield Finding(
                read.place,
                "no-field",
                f"fedmsg's messages have no {quoted(first)} beside 'msg'; "
                f"did you mean '{read.shown(meant)}'?",
            )


def _meant(dotted: str, extra: str) -> str | None:
    """Return the path that was meant by one that no message has; None for any other.

    ``extra`` is another field that a template may have there.
    """
    first, dot, rest = dotted.partition(".")
    if first in _FIELDS or dotted in CONCERNED or dotted == extra:
        return None
    if first in _CONTENT and rest:
        return f"msg.{rest}"
    near = difflib.get_close_matches(first, filter(None, (*_USUAL, extra)), n=1, cutoff=0.7)
    return f"{near[0]}{dot}{rest}" if near else f"msg.{dotted}"


def odd_id(rule: Rule, document: MappingNode) -> Iterator[Finding]:
    """Find the id of a badge that would have to be escaped in links."""
    found = sorted(set(_NO_ID.findall(rule.badge.id)))
    name = _name(rule, document) if found else None
    if name is not None:
        signs = " and ".join(map(repr, found))
        yield Finding(
            name.place,
            "odd-id",
            f"the badge's id will be {quoted(rule.badge.id)}, and links to it break at {signs}; "
            f"write 'name' without {signs}",
        )


def _name(rule: Rule, document: MappingNode) -> Node | None:
    """Return the node of the badge's name, which stands in a list where there are several."""
    badges = document.get("badges")
    items = badges.items if isinstance(badges, SequenceNode) else (document,)
    here = (each for each in items if isinstance(each, MappingNode) and each.place == rule.place)
    return next((each.get("name") for each in here), None)


def cut_text(document: MappingNode) -> Iterator[Finding]:
    """Find texts without quotes behind which a comment may be meant as text."""
    for key, node in _texts(document, ""):
        sign = r" #|\s+#[^\s#!]" if key in _FOR_PEOPLE else r"\s+#[^\s#!]"
        text = isinstance(node.value, str) and re.match(sign, node.comment)
        if text and not re.match(r"\s+#\s*fedbadges:", node.comment):
            yield Finding(
                node.place,
                "cut-text",
                f"{quoted(node.comment.rstrip())} is left out: without quotes, a comment begins at "
                f"' #'; put quotes around the whole text of '{key}'",
            )


def _texts(node: Node, key: str) -> Iterator[tuple[str, ScalarNode]]:
    """Yield the values below free texts, each with its key."""
    if isinstance(node, ScalarNode):
        if key in _FREE:
            yield key, node
    elif isinstance(node, SequenceNode):
        for item in node.items:
            yield from _texts(item, key)
    else:
        for its_key, value in node.entries:
            yield from _texts(value, its_key.text)
