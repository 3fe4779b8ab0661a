"""HTTP sessions with time limits and a few quick retries, and what may be said of their errors."""

import re
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from fedbadges.util.text import printable

#: How many times to retry, and the first back-off in seconds. Longer outages are the caller's.
_RETRIES = 2
_BACKOFF = 0.1

#: A gateway whose server restarts.
_RETRY_STATUS = (502, 503, 504)


def configure_session(session: requests.Session, timeout: float) -> requests.Session:
    """Return the session, with retries, and ``timeout`` seconds to connect and for each read."""
    adapter = _Adapter(timeout)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def error_reason(error: BaseException) -> str:
    """Return the first line of an error's own text, without credentials."""
    text = str(error) or str(error.__context__ or "") or type(error).__name__
    return strip_credentials(printable(text.strip().splitlines()[0]))


def strip_credentials(text: str) -> str:
    """Return a text without the user names and passwords of the URLs in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)


class _Adapter(HTTPAdapter):
    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        super().__init__(
            max_retries=Retry(
                total=_RETRIES,
                backoff_factor=_BACKOFF,
                status_forcelist=_RETRY_STATUS,
                raise_on_status=False,
                respect_retry_after_header=False,
            )
        )

    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        if options.get("timeout") is None:
            options["timeout"] = self._timeout
        return super().send(request, **options)
