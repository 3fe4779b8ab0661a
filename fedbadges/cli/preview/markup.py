"""HTML and SVG, put together so that no text in it can become anything but text."""

from __future__ import annotations

import html

from fedbadges.util.text import printable

#: Elements that have no end.
_VOID = frozenset(["meta"])


class Markup(str):
    """What is markup already; any other text is escaped where it becomes part of some."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: object) -> Markup:
    """Write an element; ``class_`` and ``stroke_width`` give ``class`` and ``stroke-width``."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for key, value in attributes.items()
    )
    start = f"<{name}{written}>"
    return Markup(start if name in _VOID else f"{start}{joined(*content)}</{name}>")


def joined(*content: str) -> Markup:
    """Put pieces behind one another, escaping those that are text."""
    return Markup("".join(each if isinstance(each, Markup) else _escaped(each) for each in content))


def _escaped(text: str) -> str:
    """Write text for HTML: what is not printed, such as marks that turn the line, as its code."""
    if not text.isprintable():
        text = "\n".join(printable(line) for line in text.split("\n"))
    return html.escape(text)
