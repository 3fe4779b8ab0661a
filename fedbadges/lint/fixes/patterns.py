"""Regular expressions that only say what a text is, begins or ends with, or has within."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LITERAL = re.compile(
    r"(?P<begin>\^|\\A|(?:\.\*)?)"
    r"(?P<text>(?:[\w /:#@=,;~%&!<>'\"-]|\\[^\w\s])+)"
    r"(?P<end>\$|\\Z|(?:\.\*)?)"
)
_ANYTHING = ".*"

#: The comparison, by whether the text stands at the begin, and at the end.
_NAMES = {
    (False, False): "contains",
    (True, False): "starts with",
    (False, True): "ends with",
    (True, True): "equal to",
}


def literal_tests(function: str, pattern: str) -> tuple[tuple[str, str], ...]:
    """Return the comparisons of which one holds where a pattern is found; none if it does more.

    ``function`` is the name of that of ``re``. The sign ``$`` also stands before a line break at
    the end, so there are two comparisons for it. As a dot is no line break, ``.*`` before what
    must be there asks for it in the first line, unless it is searched for anywhere.
    """
    found = _LITERAL.fullmatch(pattern)
    if found is None:
        return ()
    begin, end, whole = found["begin"], found["end"], function == "fullmatch"
    if (begin == _ANYTHING and function != "search") or (end == _ANYTHING and whole):
        return ()
    at_begin = function != "search" or begin not in ("", _ANYTHING)
    at_end = whole or end not in ("", _ANYTHING)
    text = re.sub(r"\\(.)", r"\1", found["text"])
    texts = _ends(text, before_break=end == "$" and not whole)
    return tuple((_NAMES[at_begin, at_end], each) for each in texts)


def _ends(text: str, *, before_break: bool) -> Iterator[str]:
    yield text
    if before_break:
        yield f"{text}\n"
