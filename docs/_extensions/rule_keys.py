"""List the keys of rules, from the schema that editors have, too."""

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from fedbadges.cli.deployment import placeholder_settings
from fedbadges.criteria.backends import load_backends
from fedbadges.rules.grammar import Schema
from fedbadges.rules.series import file_schema


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive; Sphinx calls it."""
    app.add_directive("rule-keys", RuleKeys)
    return {"parallel_read_safe": True}


class RuleKeys(SphinxDirective):
    """``.. rule-keys::``."""

    def run(self) -> list[nodes.Node]:
        """Return nested lists of all keys, with the criteria of the backends that come along."""
        schema = file_schema(load_backends(placeholder_settings({})))
        lister = _Lister(schema)
        rule, series = (schema["$defs"][kind] for kind in ("rule", "series"))
        return [
            lister.keys(rule),
            nodes.paragraph("", "A file that gives several badges of a series has these keys:"),
            lister.keys(series),
        ]


class _Lister:
    """Lists the keys of a schema; those of each definition once, where they come first."""

    def __init__(self, whole: Schema) -> None:
        self._whole = whole
        self._listed: set[int] = set()

    def keys(self, schema: Schema) -> nodes.definition_list:
        """Return a list of the keys of a mapping, with the keys below each."""
        required = schema.get("required", ())
        items = (
            self._item(name, below, name in required)
            for name, below in schema["properties"].items()
        )
        return nodes.definition_list("", *items)

    def _item(self, name: str, schema: Schema, required: bool) -> nodes.definition_list_item:
        described = list(self._resolve(schema))
        meaning = next((each["description"] for each in described if "description" in each), "")
        text = nodes.paragraph("", meaning)
        if required:
            text += [nodes.Text(" "), nodes.strong("", "Required.")]
        definition = nodes.definition("", text)
        inner = described[-1].get("items", described[-1])
        below = inner.get("properties")
        if below and id(below) not in self._listed:
            self._listed.add(id(below))
            definition += self.keys(inner)
        return nodes.definition_list_item(
            "", nodes.term("", "", nodes.literal(name, name)), definition
        )

    def _resolve(self, schema: Schema) -> Iterator[Schema]:
        """Yield a schema, and what it refers to."""
        yield schema
        if "$ref" in schema:
            found: Any = self._whole
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            yield from self._resolve(found)
