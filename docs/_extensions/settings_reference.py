"""List the configuration keys as the code defines them, each with the comment beside it."""

from collections.abc import Iterable, Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from fedbadges.config.reader import REQUIRED, ConfigKey, keys_of
from fedbadges.config.settings import Issuer, Settings


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive; Sphinx calls it."""
    app.add_directive("settings-reference", SettingsReference)
    return {"parallel_read_safe": True}


class SettingsReference(SphinxDirective):
    """``.. settings-reference::``."""

    def run(self) -> list[nodes.Node]:
        """Return a definition list of all keys, in the order of the code."""
        keys = [*_commented_keys(Settings), *_commented_keys(Issuer)]
        return [nodes.definition_list("", *(_entry(key, comment) for key, comment in keys))]


def _commented_keys(cls: type) -> Iterator[tuple[ConfigKey, str]]:
    comments = ModuleAnalyzer.for_module(cls.__module__).find_attr_docs()
    for field, key in keys_of(cls).items():
        yield key, " ".join(comments.get((cls.__name__, field), ())).strip()


def _entry(key: ConfigKey, comment: str) -> nodes.definition_list_item:
    name = nodes.literal(key.name, key.name)
    place = f" in {'.'.join(key.within)}" if key.within else ""
    term = nodes.term("", "", name, nodes.Text(place), ids=[nodes.make_id(key.name)])
    parts: list[nodes.Node] = [*_with_code(f"{comment} ")] if comment else []
    parts.append(nodes.Text(f"Expected: {key.expected}. "))
    parts.extend(_default(key.default))
    return nodes.definition_list_item(
        "", term, nodes.definition("", nodes.paragraph("", "", *parts))
    )


def _with_code(text: str) -> Iterator[nodes.Node]:
    """Yield the parts of a comment, of which every second one stands in double backquotes."""
    for number, part in enumerate(text.split("``")):
        yield nodes.literal(part, part) if number % 2 else nodes.Text(part)


def _default(default: object) -> Iterable[nodes.Node]:
    if default is REQUIRED:
        return [nodes.strong("", "Required.")]
    if default is None or default == ():
        return []
    if isinstance(default, tuple):
        text = ", ".join(default)
    else:
        text = f"{default:g}" if isinstance(default, float) else str(default)
    return [nodes.Text("Default: "), nodes.literal(text, text), nodes.Text(".")]
