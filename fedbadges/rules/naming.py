"""Whom a rule names: who gets the badge, and who does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fedbadges.errors import MissingValue, Place
from fedbadges.rules.grammar import YES_NO, Fields, FieldSpec, Kind, Schema, mapping_of, several
from fedbadges.rules.names import names_in
from fedbadges.rules.parsing import Problems, only_entry
from fedbadges.rules.recipients import (
    CONVERSIONS,
    EVERYBODY,
    Accounts,
    Conversions,
    NamedPerson,
    TrustedDomains,
    account,
)
from fedbadges.rules.templates import (
    RECIPIENT,
    TEMPLATE_WITH_PATH,
    Template,
    TemplatePath,
    read_template,
)
from fedbadges.rules.yaml_document import MappingNode, Node, SequenceNode


@dataclass(frozen=True)
class Recipient:
    """The templates of a rule that name who gets the badge, and what kinds of names these are.

    Of several templates, the first counts that names anybody.
    """

    templates: tuple[Template, ...]
    conversions: frozenset[str] = frozenset()

    def __str__(self) -> str:
        texts = [template.text for template in self.templates]
        return texts[0] if len(texts) == 1 else f"any of {', '.join(texts)}"

    @property
    def place(self) -> Place:
        """Return where the rule names it."""
        return self.templates[0].place

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths that the templates read."""
        return _paths(self.templates)

    def find(
        self, message: Mapping[str, Any], trusted: TrustedDomains, accounts: Accounts = EVERYBODY
    ) -> tuple[NamedPerson, ...]:
        """Return the people that a message names, as ``Conversions.read`` does.

        Raise MissingValue if there is nothing at the path of any template, and Unavailable.
        """
        return Conversions(self.conversions).read(self._names(message), trusted, accounts)

    def _names(self, message: Mapping[str, Any]) -> tuple[Any, ...]:
        missing: list[MissingValue] = []
        for template in self.templates:
            try:
                names = names_in(template.fill(message))
            except MissingValue as error:
                missing.append(error)
                continue
            if names:
                return names
        if len(missing) == len(self.templates):
            raise missing[0]
        return ()


@dataclass(frozen=True)
class Excepted:
    """The templates of a rule that name who does not get the badge, even if the recipient does.

    ``conversions`` are those of the recipient.
    """

    templates: tuple[Template, ...]
    conversions: frozenset[str] = frozenset()

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths that the templates read."""
        return _paths(self.templates)

    def names(
        self, message: Mapping[str, Any], trusted: TrustedDomains, accounts: Accounts = EVERYBODY
    ) -> frozenset[str]:
        """Return the account names: what the templates name, as it is and converted.

        Raise MissingValue if there is nothing at the path of one of them, and Unavailable.
        """
        raw = tuple(name for each in self.templates for name in names_in(each.fill(message)))
        converted = Conversions(self.conversions).read(raw, trusted, accounts)
        people = (*map(account, raw), *converted)
        return frozenset(each.name for each in people if each.name is not None)


def _paths(templates: tuple[Template, ...]) -> tuple[TemplatePath, ...]:
    return tuple(path for template in templates for path in template.paths)


class Naming(NamedTuple):
    """Whom a rule names: the text is the same for rules that name the same people."""

    recipient: Recipient | None = None
    excepted: Excepted | None = None

    def __str__(self) -> str:
        return repr(
            [
                each and ([template.text for template in each.templates], sorted(each.conversions))
                for each in self
            ]
        )

    @property
    def paths(self) -> frozenset[str]:
        """Return the paths of all templates."""
        return frozenset(path.dotted for each in self if each is not None for path in each.paths)


def make_naming(rule: Fields, problems: Problems) -> Naming:
    """Return whom a rule names, from its RECIPIENT_KEYS."""
    if "recipient" not in rule.places:
        for key in CONVERSIONS:
            if key in rule.places:
                problems.add(rule.places[key], f"'{key}' needs a 'recipient' to convert")
    recipient, excepted = rule.values.get("recipient"), rule.values.get("except")
    conversions = frozenset(key for key in CONVERSIONS if rule.values.get(key))
    return Naming(
        None if recipient is None else Recipient(recipient, conversions),
        None if excepted is None else Excepted(excepted, conversions),
    )


def _read_recipient(node: Node, _: str, problems: Problems) -> tuple[Template, ...] | None:
    if isinstance(node, MappingNode):
        entry = only_entry(node, ["any"], "a recipient", problems)
        return None if entry is None else _RECIPIENTS.read(entry[1], "'any'", problems)
    if isinstance(node, SequenceNode):
        text = "a recipient is a template, and this is a list; for the first of them that a "
        problems.add(node.place, f"{text}message has, write 'recipient: {{any: […]}}'")
        return None
    template = _read_naming(node, "a recipient", problems)
    return None if template is None else (template,)


def _read_excepted(node: Node, what: str, problems: Problems) -> tuple[Template, ...] | None:
    if isinstance(node, SequenceNode):
        return _EXCEPTED.read(node, what, problems)
    template = _read_naming(node, what, problems)
    return None if template is None else (template,)


def _read_naming(node: Node, what: str, problems: Problems) -> Template | None:
    """Read a template that names people; it needs a path."""
    template = read_template(node, what, problems)
    if template is None:
        return None
    if not template.paths:
        problems.add(template.place, f"{what} is a template such as '%(msg.user)s'")
    if template.names(RECIPIENT):
        text = "'%(recipient)s' stands for whom the recipient names, nobody yet"
        problems.add(template.place, text)
    return template


_NAMING = Kind(_read_naming, {**TEMPLATE_WITH_PATH, "not": {"pattern": r"%\(\s*recipient\s*\)s"}})
_RECIPIENTS = several(_NAMING, "a recipient")
_EXCEPTED = several(_NAMING, "an item of 'except'")
_FIRST_OF: Schema = {"description": "The first that the message has.", **_RECIPIENTS.schema}

#: The keys of a rule that name who gets the badge, and who does not.
RECIPIENT_KEYS = {
    "recipient": FieldSpec(
        Kind(_read_recipient, {"anyOf": [_NAMING.schema, mapping_of({"any": _FIRST_OF})]}),
        "A template that names who gets it; without, fedmsg.meta says whom a message is about.",
    ),
    "except": FieldSpec(
        Kind(_read_excepted, {"anyOf": [_NAMING.schema, _EXCEPTED.schema]}),
        "Templates that name who does not get it.",
    ),
    **{
        key: FieldSpec(YES_NO, f"Yes, if the recipient is {kind}.")
        for key, kind in CONVERSIONS.items()
    },
}
