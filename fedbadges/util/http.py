"""HTTP requests whose answer is small, in time and from the host that was asked, or an error."""

import concurrent.futures
import contextlib
import http.cookiejar
import re
import socket
import threading
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import connection, connectionpool

from fedbadges.util.text import printable

#: How many times to retry, and the first back-off in seconds. Longer outages are the caller's.
_RETRIES = 2
_BACKOFF = 0.1

#: A gateway whose server restarts.
_RETRY_STATUS = (502, 503, 504)

_MAX_REDIRECTS = 5

#: How many cookies a session keeps; a login takes one or two.
_MAX_COOKIES = 10

#: How many characters of an error are shown.
_MAX_CHARACTERS = 500

#: Requests that run at a time, among them those that nobody waits for any more.
_slots = threading.BoundedSemaphore(20)

_current = threading.local()


class Session(requests.Session):
    """A session whose requests are bounded in time and size, with a few quick retries.

    To connect, and for each part of an answer, a server has ``timeout`` seconds; for all of it,
    with retries and redirects, three times as long and a second. An answer has at most
    ``max_bytes``. With ``stream=True`` its body is not read. A redirect must lead to the same host,
    and with ``only``, a URL, all requests must. A few cookies are kept.
    """

    def __init__(self, timeout: float, max_bytes: int, only: str | None = None) -> None:
        super().__init__()
        self._only = only
        self._deadline = (_RETRIES + 1) * timeout + 1.0
        self.max_redirects = _MAX_REDIRECTS
        self.cookies.set_policy(_FewCookies())
        # A compressed answer could be of any size.
        self.headers["Accept-Encoding"] = "identity"
        adapter = _Adapter(timeout, max_bytes)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request and return the answer; raise RequestException if there is none in time."""
        if getattr(_current, "exchange", None) is not None:  # a redirect
            return super().send(request, **options)
        if self._only is not None and not _is_same_host(self._only, str(request.url)):
            raise requests.RequestException(f"a request to another host: {request.url}")
        if not _slots.acquire(timeout=self._deadline):
            raise requests.Timeout("too many earlier requests have not ended")
        exchange = _Exchange()
        answer: concurrent.futures.Future[requests.Response] = concurrent.futures.Future()

        # A thread can be left behind, whatever it waits for, such as the name service.
        def run() -> None:
            _current.exchange = exchange
            try:
                answer.set_result(super(Session, self).send(request, **options))
            except requests.RequestException as error:
                answer.set_exception(error)
            except Exception as error:  # of the libraries below requests, for an odd answer
                answer.set_exception(requests.RequestException(error))
            finally:
                _slots.release()

        threading.Thread(target=run, name="fedbadges-http", daemon=True).start()
        concurrent.futures.wait([answer], self._deadline)
        if not answer.done():
            exchange.give_up()
            raise requests.Timeout(f"no complete answer within {self._deadline:g} seconds")
        return answer.result()

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where an answer redirects to; raise RequestException if it is another host."""
        target = super().get_redirect_target(resp)
        if target is not None and not _is_same_host(resp.url, target):
            raise requests.RequestException(f"a redirect to another host: {target}")
        return target


def error_reason(error: BaseException) -> str:
    """Return the first line of an error's own text, without credentials, and not too long."""
    text = str(error) or str(error.__context__ or "") or type(error).__name__
    lines = text.strip().splitlines() or [type(error).__name__]
    return shown(strip_credentials(lines[0])[:_MAX_CHARACTERS])


def shown(url: str) -> str:
    """Return a URL as it may be logged: escaped, without credentials."""
    return re.sub(r"//[^/]*@", "//", printable(url))


def strip_credentials(text: str) -> str:
    """Return a text without the user names and passwords of the URLs in it."""
    return re.sub(r"//[^/\s]*@", "//", text)


class _FewCookies(http.cookiejar.DefaultCookiePolicy):
    """Accepts a few cookies, with new values as often as they come."""

    def __init__(self) -> None:
        super().__init__()
        self._accepted: set[tuple[str, str, str]] = set()

    def set_ok(self, cookie: http.cookiejar.Cookie, request: Any) -> bool:
        """Return True if a cookie is to be kept."""
        key = (cookie.domain, cookie.path, cookie.name)
        if len(self._accepted) >= _MAX_COOKIES and key not in self._accepted:
            return False
        accepted = super().set_ok(cookie, request)
        if accepted:
            self._accepted.add(key)
        return accepted


class _Exchange:
    """A request with its retries and redirects, which runs in a thread and may be given up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: connection.HTTPConnection | None = None
        self._given_up = False

    def use(self, used: connection.HTTPConnection) -> None:
        """Note the connection that is used from now on; raise OSError if it was given up."""
        with self._lock:
            if self._given_up:
                raise OSError("nobody waits for the answer any more")
            self._connection = used

    def give_up(self) -> None:
        """End what the thread waits for, or will wait for."""
        with self._lock:
            self._given_up = True
            used = None if self._connection is None else self._connection.sock
        if used is not None:
            with contextlib.suppress(OSError, AttributeError):
                used.shutdown(socket.SHUT_RDWR)


def _note(used: connection.HTTPConnection) -> None:
    exchange: _Exchange | None = getattr(_current, "exchange", None)
    if exchange is not None:
        exchange.use(used)


# These have the names of their base classes, since error messages show them.


class HTTPConnection(connection.HTTPConnection):
    """A connection whose exchange can be given up, at the latest when it is connected."""

    def connect(self) -> None:
        """Connect, unless the exchange was given up."""
        _note(self)
        super().connect()
        _note(self)

    def getresponse(self) -> Any:
        """Return the beginning of an answer, unless the exchange was given up."""
        _note(self)
        return super().getresponse()


class HTTPSConnection(HTTPConnection, connection.HTTPSConnection):
    """The same with TLS."""


class HTTPConnectionPool(connectionpool.HTTPConnectionPool):
    """A pool of such connections."""

    ConnectionCls = HTTPConnection


class HTTPSConnectionPool(connectionpool.HTTPSConnectionPool):
    """A pool of such connections with TLS."""

    ConnectionCls = HTTPSConnection


_POOLS = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}


class _Adapter(HTTPAdapter):
    def __init__(self, timeout: float, max_bytes: int) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        super().__init__(
            max_retries=urllib3.Retry(
                total=_RETRIES,
                backoff_factor=_BACKOFF,
                status_forcelist=_RETRY_STATUS,
                raise_on_status=False,
                respect_retry_after_header=False,
            )
        )

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        if isinstance(manager, urllib3.ProxyManager):  # for others, as SOCKS, the thread suffices
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        if options.get("timeout") is None:
            options["timeout"] = self._timeout
        unread = options.get("stream", False)
        response = super().send(request, **(options | {"stream": True}))
        if response.is_redirect:
            response.close()
            response._content = b""
        elif not unread:
            try:
                response._content = _read(response, self._max_bytes)
            except BaseException:
                response.close()
                raise
        return response


def _read(response: requests.Response, limit: int) -> bytes:
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise requests.RequestException("an answer that is compressed, which was not asked for")
    try:
        body: bytes = response.raw.read(limit + 1, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise requests.ConnectionError(error) from error
    if len(body) > limit:
        raise requests.RequestException(f"an answer of more than {limit} bytes")
    return body


def _is_same_host(url: str, target: str) -> bool:
    """Return True if a target has the same host and port, and no less secure a scheme."""
    try:
        old, new = urlsplit(url), urlsplit(urljoin(url, target))
        if old.hostname != new.hostname:
            return False
        if (old.scheme, new.scheme) == ("http", "https"):
            return (_port(old), _port(new)) == (80, 443) or _port(old) == _port(new)
        return old.scheme == new.scheme and _port(old) == _port(new)
    except ValueError:
        return False


def _port(url: SplitResult) -> int | None:
    return url.port or {"http": 80, "https": 443}.get(url.scheme)
