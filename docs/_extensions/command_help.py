"""Make the pages of the command fedbadges from what ``--help`` says, for the site and for man."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from fedbadges.cli.main import main

_OPTION = re.compile(r"(--[a-z][a-z-]*)")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive; Sphinx calls it."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}


def man_pages() -> list[tuple[str, str, str, list[str], int]]:
    """Return what Sphinx's ``man_pages`` says of the command and its subcommands."""
    commands = {"fedbadges": main, **{f"fedbadges-{k}": v for k, v in main.commands.items()}}
    return [
        (f"commands/{name}", name, _summary(command), [], 1) for name, command in commands.items()
    ]


class CommandHelp(SphinxDirective):
    """``.. command-help:: NAME``, or without NAME for fedbadges itself."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections of a manual page; an unknown name is an error of the page."""
        name = self.arguments[0] if self.arguments else None
        if name not in (None, *main.commands):
            raise self.error(f"fedbadges has no command {name}")
        context = click.Context(main, info_name="fedbadges", **main.context_settings)
        if name is not None:
            context = click.Context(main.commands[name], context, name)
        sections = (self._section(title, parts) for title, parts in _sections(context))
        return list(sections)

    def _section(self, title: str, parts: list[nodes.Node]) -> nodes.section:
        section = nodes.section("", nodes.title(title, title), *parts, names=[title.lower()])
        self.state.document.note_implicit_target(section, section)
        return section


def _sections(context: click.Context) -> Iterator[tuple[str, list[nodes.Node]]]:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield "Synopsis", [_literal(usage)]
    yield "Description", list(_prose(inspect.cleandoc(command.help or "")))
    if isinstance(command, click.Group):
        yield "Commands", [_commands(command)]
    options = (each for each in command.get_params(context) if isinstance(each, click.Option))
    records = (option.get_help_record(context) for option in options)
    yield "Options", [_definitions(record for record in records if record)]
    epilog = list(_prose(command.epilog or ""))
    # A title, the examples, and whatever else there is.
    if epilog and epilog[0].astext() == "Examples:":
        yield "Examples", epilog[1:2]
        epilog = epilog[2:]
    if epilog:
        yield "Notes", epilog


def _prose(text: str) -> Iterator[nodes.Node]:
    """Yield paragraphs, and indented lines as they are."""
    lines = (line.strip("\b") for line in text.splitlines())
    for first, group in groupby(lines, key=lambda line: line[:1] if line[:1] in ("", " ") else "x"):
        block = "\n".join(group)
        if first == " ":
            yield _literal(textwrap.dedent(block))
        elif first:
            yield nodes.paragraph("", "", *_inline(block.replace("\n", " ")))


def _commands(group: click.Group) -> nodes.definition_list:
    return _definitions((name, _summary(command)) for name, command in group.commands.items())


def _definitions(items: Iterator[tuple[str, str]]) -> nodes.definition_list:
    return nodes.definition_list(
        "",
        *(
            nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal(term, term)),
                nodes.definition("", nodes.paragraph("", "", *_inline(text))),
            )
            for term, text in items
        ),
    )


def _inline(text: str) -> Iterator[nodes.Node]:
    """Yield the text, with the names of options as code."""
    for part in _OPTION.split(text):
        if part:
            yield nodes.literal(part, part) if _OPTION.fullmatch(part) else nodes.Text(part)


def _literal(text: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language="none")


def _summary(command: click.Command) -> str:
    """Return the first paragraph of the help, as the NAME of a manual page has it."""
    text = " ".join((command.help or "").partition("\n\n")[0].split()).rstrip(".")
    return text[:1].lower() + text[1:]
