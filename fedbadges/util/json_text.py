"""Parse JSON that comes from elsewhere and may be nested without end."""

import json
import re
from typing import Any

#: How deep lists and objects may be nested in each other. Python's own parser ends at about 1,000,
#: with its stack used up: what the interpreter cleans up at that moment fails.
MAX_DEPTH = 500

#: A string, to its end or that of the text, so that no text is read twice; or a bracket.
_TOKENS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{\]}]', re.DOTALL)


def parse_json(text: str | bytes) -> Any:
    """Return what JSON says; raise ValueError for what is none or is nested too deep."""
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_too_deep(text):
        raise ValueError(f"lists and objects are nested more than {MAX_DEPTH} deep")
    return json.loads(text)


def _is_too_deep(text: str) -> bool:
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token.group(), 0)
        if depth > MAX_DEPTH:
            return True
    return False
