"""Log lines that begin with a stable event and end with ``key=value`` pairs.

An event is a few words that never change, so that a line can be searched for and alerted on. What
differs from line to line follows it, in the form known as logfmt::

    Awarded badge badge=gardener-i user=alice msg_id=2026-0f3c ms=12

Every value goes through one function that escapes it: nothing in a message can end a line, begin
another or pass for a field.
"""

import itertools
import logging
import math
import os
import reprlib
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from fedbadges.util.text import describe_error, printable

#: How many characters of a value are logged.
_MAX_CHARACTERS = 500

#: Keyword arguments of ``logging`` itself.
_OF_LOGGING = ("exc_info", "stack_info", "stacklevel", "extra")

#: How many items of a list are logged.
_MAX_ITEMS = 20

#: Characters that must be in quotes, and those that are escaped in quotes.
_QUOTED = frozenset(' ="\\')
_ESCAPES = str.maketrans({'"': r"\"", "\\": r"\\"})

_SHORT = reprlib.Repr()
_SHORT.maxother = _MAX_CHARACTERS

# Only a type checker may subscript it on Python 3.10.
if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class EventLogger(_Adapter):
    """Logs events, each with the fields that are given by keyword."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[str, MutableMapping[str, Any]]:
        """Return the whole line, and the arguments of ``logging`` itself."""
        rest = {name: kwargs[name] for name in _OF_LOGGING if name in kwargs}
        fields = {name: value for name, value in kwargs.items() if name not in rest}
        text = [f"{name}={format_value(value)}" for name, value in fields.items()]
        # For formatters that have fields of their own, such as that of ``json_logs``.
        rest["extra"] = {**rest.get("extra", {}), "event": str(msg), "fields": fields}
        return " ".join([str(msg), *text]), rest


def get_logger(name: str) -> EventLogger:
    """Return the logger of the module with this name."""
    return EventLogger(logging.getLogger(name), None)


def enable_loggers() -> None:
    """Enable the loggers of this package after ``logging.config`` has disabled them.

    It does that to all loggers that exist, unless the configuration says otherwise.
    """
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("fedbadges") and isinstance(logger, logging.Logger):
            logger.disabled = False


def format_value(value: object) -> str:
    """Return a value in logfmt: on one line, and in quotes unless it is one plain word.

    Errors are formatted by ``describe_error``, floats with three decimals at most, and the items of
    a list, tuple or set are joined by commas.
    """
    text = _shortened(_text_of(value))
    if text and text.isprintable() and not any(letter in _QUOTED for letter in text):
        return text
    return f'"{printable(text.translate(_ESCAPES))}"'


def field_values(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the values of fields as JSON can hold them: numbers, flags, None, or short text."""
    return {
        name: value if _is_plain(value) else _shortened(_text_of(value))
        for name, value in fields.items()
    }


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    # JSON's readers have no large numbers.
    return value is None or (isinstance(value, int) and abs(value) < 2**53)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"


def _text_of(value: object) -> str:
    if isinstance(value, (str, os.PathLike)):
        return str(value)
    if isinstance(value, BaseException):
        return describe_error(value)
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, (list, tuple, set, frozenset)):
        items = itertools.islice(value, _MAX_ITEMS)
        return ",".join(each if isinstance(each, str) else _SHORT.repr(each) for each in items)
    return _SHORT.repr(value)
