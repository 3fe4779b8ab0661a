"""Show what ``--help`` says of a subcommand of fedbadges, so that the site says the same."""

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from fedbadges.cli.main import main


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive; Sphinx calls it."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}


class CommandHelp(SphinxDirective):
    """``.. command-help:: NAME``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the help as it is in a terminal; an unknown name is an error of the page."""
        name = self.arguments[0]
        if name not in main.commands:
            raise self.error(f"fedbadges has no command {name}")
        group = click.Context(main, info_name="fedbadges", terminal_width=80)
        context = click.Context(main.commands[name], group, name, terminal_width=80)
        text = main.commands[name].get_help(context)
        return [nodes.literal_block(text, text, language="none")]
