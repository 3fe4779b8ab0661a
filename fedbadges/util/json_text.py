"""Parse JSON that comes from elsewhere and may be nested without end."""

import json
import re
from typing import Any

#: How deep lists and objects may be nested in each other. Python's own parser ends at about 1,000,
#: with its stack used up: what the interpreter cleans up at that moment fails.
MAX_DEPTH = 500

#: A string without escaped quotes, to its end or that of the text; or brackets. Nothing in it is
#: repeated but single characters, of which the engine remembers nothing, however many there are.
_TOKENS = re.compile(r'"[^"]*"?|[\[{]+|[\]}]+')


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says; raise ValueError for what is none or is nested too deep."""
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    if is_too_deep(text, count_brackets(text)):
        raise ValueError(f"lists and objects are nested more than {MAX_DEPTH} deep")
    return json.loads(text)


def count_brackets(text: str) -> int:
    """Return how many opening brackets JSON has, those in its strings as well."""
    return text.count("[") + text.count("{")


def is_too_deep(text: str, brackets: int) -> bool:
    """Return True if lists and objects are nested deeper than ``MAX_DEPTH``.

    ``brackets`` is what ``count_brackets`` returns for the text.
    """
    if brackets <= MAX_DEPTH:
        return False
    depth = 0
    for found in _TOKENS.finditer(text.replace(r"\\", "").replace(r"\"", "")):
        token = found.group()
        if token[0] in "[{":
            depth += len(token)
            if depth > MAX_DEPTH:
                return True
        elif token[0] != '"':
            depth -= len(token)
    return False


def nests_too_deep(parsed: Any) -> bool:
    """Return the same of JSON that somebody else has parsed."""
    level = [parsed]
    for _ in range(MAX_DEPTH):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inner for each in values if isinstance(each, (dict, list))]
        if not level:
            return False
    return True
