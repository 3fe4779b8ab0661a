"""The rule language as a JSON Schema, for editors: made from the tables that the parsers use.

A schema sees less than the parsers do. What it refuses they refuse, too; what they take, it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from fedbadges.rules.conditions import CONDITIONS
from fedbadges.rules.criteria import DEFAULT_BACKEND, QUESTION_KEYS, Backends
from fedbadges.rules.filters import (
    ALIASES,
    FILTER_KEYS,
    LIST_KEYS,
    MOST,
    NUMBER_KEYS,
    ORDERS,
    TIME_KEYS,
)
from fedbadges.rules.operators import OPERATORS
from fedbadges.rules.recipients import CONVERSIONS
from fedbadges.rules.rule import MAX_TEXT, REQUIRED, REQUIRED_TEXTS, RULE_KEYS
from fedbadges.rules.triggers import IMPOSSIBLE, TRIGGER_KEYS

Schema = dict[str, Any]

#: The edition of JSON Schema.
DIALECT = "https://json-schema.org/draft/2020-12/schema"

# Regular expressions, as ECMAScript and Python both read them.
_PATH = r"%\(\s*[^().\s][^().]*(\.[^().]+)*\s*\)s"
_TEMPLATE = rf"^(%%|{_PATH}|%(?![(%])|[^%])*$"
_WITH_PATH = rf"^(%%|%(?![(%])|[^%])*{_PATH}"
_OF_CANDIDATE = r"%\(\s*recipient\s*\)s"

#: ``Yes`` and ``No`` are truth values for YAML 1.1, which rules are, and text for YAML 1.2, which
#: editors may take them for.
YES_OR_NO: Schema = {"enum": [True, False, "Yes", "No", "yes", "no"]}

#: Text that is not blank.
TEXT: Schema = {"type": "string", "pattern": r"\S"}

_LAMBDA: Schema = {"description": "A Python expression, without 'lambda' in front.", **TEXT}

_MEANINGS = {
    "name": "The badge's name; its id in tahrir is made from it.",
    "description": "What it is given for, as shown with the badge.",
    "creator": "Who thought of the badge.",
    "discussion": "A link, shown as the badge's criteria.",
    "image_url": "Where its picture is.",
    "issuer_id": "Informs readers only.",
    "tags": "A list, or words split by commas.",
    "trigger": "The cheap check: which messages the rule is about.",
    "criteria": "The dear check: what must hold for the badge to be given.",
    "recipient": "A template that names who gets it; without, fedmsg.meta says whom a message is"
    " about.",
    "recipient_nick2fas": "Yes, if the recipient is an IRC nick.",
    "recipient_email2fas": "Yes, if the recipient is an e-mail address.",
    "recipient_openid2fas": "Yes, if the recipient is like http://alice.id.fedoraproject.org/.",
    "recipient_github2fas": "Yes, if the recipient is a name on GitHub.",
    "recipient_distgit2fas": "Yes, if the recipient is like https://src.fedoraproject.org/user/bob.",
    "recipient_krb2fas": "Yes, if the recipient is like alice@FEDORAPROJECT.ORG.",
}


@runtime_checkable
class Described(Protocol):
    """A backend that says what a rule may have below its name.

    ``schema`` is a JSON Schema. What it has under ``$defs`` becomes a definition of the whole.
    """

    schema: Mapping[str, Any]


def rule_schema(backends: Backends) -> Schema:
    """Describe rule files, with the criteria of these backends: a JSON Schema, as JSON has it."""
    definitions: Schema = {
        "trigger": _trigger(),
        **{kind: combined(_name(kind), kind) for kind in IMPOSSIBLE},
        "criteria": _criteria(backends),
        "question": _question(),
        "filter": _filter(),
        "operation": {"anyOf": [{"const": "count"}, mapping_of({"lambda": _LAMBDA})]},
        "condition": mapping_of(
            {key: _LAMBDA if key == "lambda" else {"type": "number"} for key in CONDITIONS}
        ),
    }
    for name, backend in backends.items():
        definitions |= _definitions_of(name, backend)
    return {
        "$schema": DIALECT,
        "title": "A rule of fedbadges",
        "type": "object",
        "properties": {key: {"description": _MEANINGS[key], **_of(key)} for key in RULE_KEYS},
        "required": list(REQUIRED),
        "dependentRequired": {key: ["recipient"] for key in CONVERSIONS},
        "additionalProperties": False,
        "$defs": definitions,
    }


def combined(leaf: Schema, name: str) -> Schema:
    """Describe one thing, or operators over several; to be the definition of this name."""
    return {"anyOf": [leaf, mapping_of(_operators(name))]}


def mapping_of(keys: Mapping[str, Schema]) -> Schema:
    """Describe a mapping that has exactly one of these keys."""
    return {
        "type": "object",
        "properties": dict(keys),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def _of(key: str) -> Schema:
    if key in REQUIRED_TEXTS:
        return TEXT if key == "creator" else {"type": "string", "pattern": _at_most(MAX_TEXT)}
    if key in CONVERSIONS:
        return YES_OR_NO
    if key == "recipient":
        return {
            "type": "string",
            "allOf": [{"pattern": _TEMPLATE}, {"pattern": _WITH_PATH}],
            "not": {"pattern": _OF_CANDIDATE},
        }
    if key == "tags":
        return {"anyOf": [{"type": "string"}, {"type": "array", "items": TEXT}]}
    return {} if key == "issuer_id" else _ref(key)


def _trigger() -> Schema:
    leaves = {"lambda": _LAMBDA, **{kind: _ref(kind) for kind in IMPOSSIBLE}}
    return mapping_of({key: leaves.get(key) or _operators("trigger")[key] for key in TRIGGER_KEYS})


def _name(kind: str) -> Schema:
    """Describe a topic or a category: text without what none has, but for blanks around it."""
    return {"type": "string", "pattern": rf"^\s*((?!{IMPOSSIBLE[kind]})[\s\S])+\s*$"}


def _criteria(backends: Backends) -> Schema:
    """Describe criteria: one key, or the keys of a question."""
    single = {**{name: _ref(f"criteria-{name}") for name in backends}, **_operators("criteria")}
    if DEFAULT_BACKEND not in backends:
        return mapping_of(single)
    return {
        "type": "object",
        "properties": {**{key: _ref(key) for key in QUESTION_KEYS}, **single},
        "additionalProperties": False,
        "oneOf": [
            {"required": list(QUESTION_KEYS), "maxProperties": len(QUESTION_KEYS)},
            *({"required": [key], "maxProperties": 1} for key in single),
        ],
    }


def _definitions_of(name: str, backend: object) -> Schema:
    """Give what stands below a backend's name, with what it refers to."""
    if name == DEFAULT_BACKEND:
        return {f"criteria-{name}": _ref("question")}
    if not isinstance(backend, Described):
        return {f"criteria-{name}": {"type": "object"}}
    described = dict(backend.schema)
    definitions: Schema = described.pop("$defs", {})
    return {**definitions, f"criteria-{name}": described}


def _question() -> Schema:
    return {
        "type": "object",
        "properties": {key: _ref(key) for key in QUESTION_KEYS},
        "required": list(QUESTION_KEYS),
        "additionalProperties": False,
    }


def _filter() -> Schema:
    return {
        "type": "object",
        "properties": {key: _of_filter(key) for key in FILTER_KEYS},
        "additionalProperties": False,
        "minProperties": 1,
        # One key by two names.
        "allOf": [{"not": {"required": pair}} for pair in map(list, ALIASES.items())],
    }


def _of_filter(key: str) -> Schema:
    if key == "order":
        return {"enum": list(ORDERS)}
    if key in NUMBER_KEYS:
        return {"type": "integer", "minimum": NUMBER_KEYS[key], "maximum": MOST}
    template = {"type": "string", "allOf": [{"pattern": _TEMPLATE}, {"pattern": r"\S"}]}
    computed = mapping_of({"lambda": _LAMBDA})
    if key in TIME_KEYS:
        return {
            "anyOf": [
                {**template, "description": "2014-12-31, 30 days ago or a template."},
                {"type": "number"},
                computed,
            ]
        }
    if ALIASES.get(key, key) not in LIST_KEYS:
        return {"anyOf": [template, computed]}
    # YAML reads some names as numbers and truth values; in a list they are names.
    items = {"anyOf": [template, {"type": ["integer", "boolean"]}]}
    several = {"type": "array", "items": items, "minItems": 1}
    whole = {"type": "string", "allOf": [{"pattern": _TEMPLATE}, {"pattern": _WITH_PATH}]}
    return {"anyOf": [several, whole, computed]}


def _operators(name: str) -> Schema:
    """Describe the operators over what the definition of this name describes."""
    several = {"type": "array", "items": _ref(name), "minItems": 1}
    return {key: _ref(name) if key == "not" else several for key in OPERATORS}


def _at_most(characters: int) -> str:
    """Match text of at most so many characters, but for blanks around it."""
    return rf"^\s*\S([\s\S]{{0,{characters - 2}}}\S)?\s*$"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
