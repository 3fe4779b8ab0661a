"""HTTP to other services: with time limits, and tried again where something failed in passing."""

from __future__ import annotations

import re
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

#: How often more, and after about how many seconds, doubled each time. Whoever waits for a
#: service that stays away does so elsewhere.
_RETRIES = 2
_PAUSE = 0.1

_PASSING = (502, 503, 504)


def limit(session: requests.Session, seconds: float) -> requests.Session:
    """Give every request of a session ``seconds`` to connect, and as many for each next byte."""
    adapter = _Limited(seconds)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def reason(error: BaseException) -> str:
    """Give an error's own words, as far as they are on their first line, without passwords."""
    words = str(error) or str(error.__context__ or "") or type(error).__name__
    return without_password(words.strip().splitlines()[0])


def without_password(text: str) -> str:
    """Leave out who asks, with what password, of the addresses in a text."""
    return re.sub(r"//[^/@\s]*@", "//", text)


class _Limited(HTTPAdapter):
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        super().__init__(
            max_retries=Retry(
                total=_RETRIES,
                backoff_factor=_PAUSE,
                status_forcelist=_PASSING,
                raise_on_status=False,
                respect_retry_after_header=False,
            )
        )

    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        if options.get("timeout") is None:
            options["timeout"] = self._seconds
        return super().send(request, **options)
