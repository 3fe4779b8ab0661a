"""Templates and fields of which no recent message has the value."""

from collections.abc import Callable, Iterator

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.criteria.reading import NAMING_KEYS, PEOPLE_KEYS, Read, fields_read, paths_read
from fedbadges.lint.findings import Finding
from fedbadges.lint.samples import Sample, Samples, nearest, samples_of
from fedbadges.messages import category_of
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.filters import Filter, templates_in
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import TemplatePath
from fedbadges.rules.triggers import Category, Topic, required_names
from fedbadges.util.text import printable

#: So many messages of one topic show what its messages have.
_ENOUGH = 20


def missing_path(samples: Samples, rule: Rule) -> Iterator[Finding]:
    """Find paths at which none of the messages has anything that the rule waits for."""
    yield from _in_trigger(samples, rule)
    for criterion in backend_criteria(rule.criteria):
        if isinstance(criterion, PastMessages):
            yield from _in_filter(samples, rule, criterion.filter)


def _in_filter(samples: Samples, rule: Rule, chosen: Filter) -> Iterator[Finding]:
    """Find the fields of a filter that no message of its topics has, if it names these."""
    templates = templates_in(dict(chosen.entries).get("topics", ()))
    topics = {template.text for template in templates if not template.paths}
    found = samples_of(samples, topics.__contains__) if chosen.fields is not None else []
    if not found or len(topics) < len(templates):
        return
    for read in fields_read(chosen, always=True):
        if read.path.dotted.partition(".")[0] == "msg" and _lack(read, found):
            yield _finding(samples.described, read, rule, found)


def _in_trigger(samples: Samples, rule: Rule) -> Iterator[Finding]:
    """Find paths that no message has of the topics of the trigger."""
    names = dict.fromkeys(required_names(rule.trigger) or ())
    found = {name: samples_of(samples, _matcher(name)) for name in names}
    every = [sample for some in found.values() for sample in some]
    if not every:
        return
    for read in paths_read(rule):
        if read.path.dotted.partition(".")[0] != "msg":
            continue
        if _lack(read, every):
            yield _finding(samples.described, read, rule, every)
            continue
        for name, some in found.items() if read.always else ():
            # Of a category, only some messages are of use.
            if not isinstance(name, Topic) or not some:
                continue
            if _lack(read, some):
                yield _finding(samples.described, read, rule, some, name.suffix)
                continue
            # Another site, or another environment, may still send the old messages.
            for each in some:
                if each.count >= _ENOUGH and _lack(read, [each]):
                    yield _finding(samples.described, read, rule, [each], each.topic)


def most_names(samples: Samples, rule: Rule, path: TemplatePath) -> int:
    """Return how many people a message names at a path, at most."""
    shapes = (
        sample.find(path)
        for name in required_names(rule.trigger) or ()
        for sample in samples_of(samples, _matcher(name))
    )
    return max((shape.names for shape in shapes if shape is not None), default=0)


def _matcher(name: Topic | Category) -> Callable[[str], bool]:
    if isinstance(name, Category):
        return lambda topic: category_of(topic) == name.name
    return lambda topic: f".{topic}".endswith(f".{name.suffix}")


def _lack(read: Read, samples: list[Sample]) -> bool:
    return all(sample.find(read.path) is None for sample in samples)


def _finding(
    described: str, read: Read, rule: Rule, samples: list[Sample], topic: str = ""
) -> Finding:
    converted = rule.recipient is not None and rule.recipient.conversions
    people = read.key in PEOPLE_KEYS or (read.key in NAMING_KEYS and not converted)
    near = nearest(read.path.dotted, samples, people=people)
    count = sum(sample.count for sample in samples)
    of_topic = f" of '{printable(topic)}'" if topic else ""
    if count == 1:
        one = described.replace("{} ", "").removesuffix("s")
        text = f"the {one}{of_topic} has no {read.path.dotted}"
        hint = f"; it has {near}"
    else:
        text = f"none of the {described.format(count)}{of_topic} has {read.path.dotted}"
        hint = f"; they have {near}"
    return Finding(read.place, "missing-path", text + (hint if near else ""))
