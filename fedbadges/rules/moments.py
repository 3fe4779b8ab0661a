"""Points in time as rules and messages write them."""

import datetime
import re
from typing import Any

_AGE = re.compile(r"\s*(\d{1,6})\s+(second|minute|hour|day|week|month|year)s?\s+ago\s*")
#: What ages are counted in.
AGE_UNITS = {
    "second": datetime.timedelta(seconds=1),
    "minute": datetime.timedelta(minutes=1),
    "hour": datetime.timedelta(hours=1),
    "day": datetime.timedelta(days=1),
    "week": datetime.timedelta(weeks=1),
    "month": datetime.timedelta(days=30),
    "year": datetime.timedelta(days=365),
}


def is_age(text: str) -> bool:
    """Return True for text such as ``30 days ago``."""
    return _AGE.fullmatch(text) is not None


def to_moment(value: Any, now: datetime.datetime) -> datetime.datetime | None:
    """Return a point in time as naive UTC, or None if ``value`` is not one.

    That is a date, seconds since 1970, text in ISO 8601, or an age before ``now``.
    """
    try:
        if isinstance(value, datetime.datetime):
            return _naive(value)
        if isinstance(value, datetime.date):
            return datetime.datetime(value.year, value.month, value.day)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _naive(datetime.datetime.fromtimestamp(value, datetime.timezone.utc))
        if not isinstance(value, str):
            return None
        age = _AGE.fullmatch(value)
        if age:
            return now - int(age[1]) * AGE_UNITS[age[2]]
        return _naive(datetime.datetime.fromisoformat(value.strip().replace("Z", "+00:00")))
    except (ValueError, OverflowError, OSError):
        return None


def _naive(moment: datetime.datetime) -> datetime.datetime:
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
