"""Points in time as rules and messages write them."""

import contextlib
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


def to_age(value: Any) -> datetime.timedelta | None:
    """Return the age that is written like ``30 days ago``, or None if ``value`` is not one."""
    found = _AGE.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) * AGE_UNITS[found[2]] if found else None


def to_moment(value: Any, now: datetime.datetime) -> datetime.datetime | None:
    """Return a date, seconds since 1970, ISO 8601 or an age before ``now`` as naive UTC."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if isinstance(value, str):
            age = to_age(value)
            iso = value.strip().replace("Z", "+00:00")
            value = datetime.datetime.fromisoformat(iso) if age is None else age
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            value = datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
        if isinstance(value, datetime.timedelta):
            return now - value
        if isinstance(value, datetime.datetime):
            utc = value.astimezone(datetime.timezone.utc) if value.tzinfo else value
            return utc.replace(tzinfo=None)
        if isinstance(value, datetime.date):
            return datetime.datetime(value.year, value.month, value.day)
    return None
