"""Log lines as JSON, one object a line, in which the pairs of an event are fields."""

import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter as _JsonFormatter

from fedbadges.util.logs import field_values


class JsonFormatter(_JsonFormatter):
    """A formatter for ``logging.config``, with the fields of fedbadges' events beside its own.

    ``event`` is the words that never change. A field never takes the place of one of the
    formatter's own. Lines of other libraries have their text as ``event``.
    """

    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp=True,
            reserved_attrs=[*vars(logging.makeLogRecord({})), "event", "fields", "message"],
        )

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Add the event and its fields to what the formatter has of a record."""
        super().add_fields(log_data, record, message_dict)
        log_data["event"] = getattr(record, "event", None) or record.getMessage()
        for name, value in field_values(getattr(record, "fields", {})).items():
            log_data.setdefault(name, value)
