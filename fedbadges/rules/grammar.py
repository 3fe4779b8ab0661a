"""What may stand below a key: one description, by which it is read and a JSON Schema is made.

The language of rules is made of these, and so is that of rule tests. A schema sees less than the
reader does. What the schema refuses, the reader refuses; what the reader takes, the schema takes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fedbadges.errors import Place
from fedbadges.rules.parsing import Problems, as_mapping, as_text, check_keys, each_item
from fedbadges.rules.yaml_document import Node, ScalarNode

T = TypeVar("T")

Schema = dict[str, Any]

#: The edition of JSON Schema.
DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: Text that is not blank.
TEXT: Schema = {"type": "string", "pattern": r"\S"}

LAMBDA: Schema = {"description": "A Python expression, without 'lambda' in front.", **TEXT}

#: The keys that combine triggers as well as criteria, with what they mean.
OPERATORS = {
    "all": "Each of these must hold.",
    "any": "At least one of these must hold.",
    "not": "This must not hold.",
}


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What may stand below a key, and a JSON Schema of it.

    ``read`` is called with the node, its name for error messages and the problems; it reports what
    is wrong, and then may return None.
    """

    read: Callable[[Node, str, Problems], T | None]
    schema: Schema


@dataclass(frozen=True)
class FieldSpec:
    """A key of a mapping, with what it means."""

    kind: Kind[Any]
    meaning: str
    required: bool = False


@dataclass(frozen=True)
class Fields:
    """What was read of a mapping: its place, and for each key its value and its place."""

    place: Place
    values: Mapping[str, Any]
    places: Mapping[str, Place]


def record_of(what: str, keys: Mapping[str, FieldSpec], *, full: bool = False) -> Kind[Fields]:
    """Return the kind of a mapping with these keys; ``full`` lists them all for an unknown one."""
    required = [name for name, key in keys.items() if key.required]

    def read(node: Node, _: str, problems: Problems) -> Fields | None:
        mapping = as_mapping(node, what, problems)
        if mapping is None:
            return None
        check_keys(mapping, keys, what, problems, full=full)
        for name in required:
            if mapping.get(name) is None:
                problems.add(mapping.place, f"missing key '{name}' in {what}")
        values: dict[str, Any] = {}
        for key, value in mapping.entries:
            if key.value in keys:
                found = keys[key.text].kind.read(value, f"'{key.text}'", problems)
                if found is not None:
                    values[key.text] = found
        places = {key.text: key.place for key, _ in mapping.entries}
        return Fields(mapping.place, values, places)

    known = {name: {"description": key.meaning, **key.kind.schema} for name, key in keys.items()}
    schema: Schema = {"type": "object", "properties": known, "additionalProperties": False}
    return Kind(read, {**schema, "required": required} if required else schema)


def several(kind: Kind[T], what: str) -> Kind[tuple[T, ...]]:
    """Return the kind of a list that has at least one item; ``what`` is the name of each."""

    def read(node: Node, name: str, problems: Problems) -> tuple[T, ...] | None:
        name = name.strip("'")
        return each_item(node, name, lambda item: kind.read(item, what, problems), problems)

    return Kind(read, {"type": "array", "items": kind.schema, "minItems": 1})


def scalar(passes: Callable[[Any], bool], expected: str, schema: Schema) -> Kind[Any]:
    """Return the kind of a single value that passes; ``expected`` is what others are not."""

    def read(node: Node, what: str, problems: Problems) -> Any:
        if isinstance(node, ScalarNode) and passes(node.value):
            return node.value
        problems.add(node.place, f"{what} is {expected}")
        return None

    return Kind(read, schema)


def number(least: int, most: int, named: str = "") -> Kind[int]:
    """Return the kind of a whole number; ``named`` is what error messages call the limits."""
    return scalar(
        lambda value: type(value) is int and least <= value <= most,
        f"a whole number, {named or f'{least} to {most}'}",
        {"type": "integer", "minimum": least, "maximum": most},
    )


def mapping_of(keys: Mapping[str, Schema]) -> Schema:
    """Describe a mapping that has exactly one of these keys."""
    return {
        "type": "object",
        "properties": dict(keys),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }


def combined(leaf: Schema, name: str) -> Schema:
    """Describe one thing, or operators over several; to be the definition of this name."""
    return {"anyOf": [leaf, mapping_of(operators_over(name))]}


def operators_over(name: str) -> dict[str, Schema]:
    """Describe the operators over what the definition of this name describes."""
    items = {"type": "array", "items": ref(name), "minItems": 1}
    return {
        key: {"description": meaning, **(ref(name) if key == "not" else items)}
        for key, meaning in OPERATORS.items()
    }


def ref(name: str) -> Schema:
    """Refer to the definition of this name."""
    return {"$ref": f"#/$defs/{name}"}


TEXTUAL = Kind(as_text, TEXT)
# ``Yes`` and ``No`` are truth values for YAML 1.1, which rules are, and text for YAML 1.2, which
# editors may take them for.
_YES_OR_NO: Schema = {"enum": [True, False, "Yes", "No", "yes", "no"]}
YES_NO: Kind[bool] = scalar(lambda value: isinstance(value, bool), "Yes or No", _YES_OR_NO)
