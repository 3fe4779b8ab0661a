"""The comments of a YAML document, which its nodes do not have."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import yaml

from fedbadges.rules.yaml_document import LINE_ENDS, LOADER, decode_document, quote_lambdas

_COMMENT = re.compile("#.*")

#: What stands before the content of a document.
_BEFORE = (yaml.StreamStartToken, yaml.DirectiveToken, yaml.DocumentStartToken)


@dataclass(frozen=True)
class Comment:
    """A comment, from its ``#`` on; ``line`` and ``column`` count from 1.

    ``about`` is the line that it is about: its own, or for a comment that has its line to itself,
    the next one with content. It is None for a comment before all content.
    """

    line: int
    column: int
    text: str
    about: int | None


def find_comments(data: bytes, path: str) -> Iterator[Comment]:
    """Yield the comments of a file that ``parse_document`` takes, in their order."""
    text = decode_document(data, path)
    try:
        tokens = list(yaml.scan(text, Loader=LOADER))
    except yaml.YAMLError:
        text, _ = quote_lambdas(text)
        tokens = list(yaml.scan(text, Loader=LOADER))
    for before, after in pairwise(tokens):
        yield from _in_header(text, before)
        yield from _between(text, before, after)


def _in_header(text: str, token: yaml.Token) -> Iterator[Comment]:
    """Yield the comment in the first line of a block of text, behind its ``|`` or ``>``."""
    if isinstance(token, yaml.ScalarToken) and token.style in ("|", ">"):
        start = token.start_mark
        header = LINE_ENDS.split(text[start.index : token.end_mark.index], maxsplit=1)[0]
        found = _COMMENT.search(header)
        if found:
            line, column = start.line + 1, start.column + found.start() + 1
            yield Comment(line, column, found.group(), line)


def _between(text: str, before: yaml.Token, after: yaml.Token) -> Iterator[Comment]:
    end = before.end_mark
    indent = text[end.index - end.column : end.index]
    for offset, part in enumerate(LINE_ENDS.split(text[end.index : after.start_mark.index])):
        whole = part if offset else indent + part
        # Where the token stands in this line, it has the '#' that comes first.
        found = _COMMENT.search(whole, 0 if offset else len(indent))
        if found:
            line = end.line + 1 + offset
            alone = not whole[: found.start()].strip()
            about = after.start_mark.line + 1 if alone else line
            first = isinstance(before, _BEFORE)
            yield Comment(line, found.start() + 1, found.group(), None if first else about)
