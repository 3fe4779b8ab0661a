"""HTTP: what servers that are slow, large, evasive or talkative can do, which is little."""

import gzip
import itertools
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from support.certificates import server_context
from support.waiting import TIMEOUT, eventually
from support.web import Answer, Dripping, Server, serving

from fedbadges.util.http import Session, error_reason, shown, strip_credentials

LIMIT = 1_000
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def session() -> Session:
    return Session(timeout=TIMEOUT / 8, max_bytes=LIMIT)


@pytest.fixture
def hasty() -> Session:
    return Session(timeout=0.2, max_bytes=LIMIT)


def failure(session: Session, url: str, **options: Any) -> str:
    """Return why a request fails, which must not take long."""
    begin = time.monotonic()
    with pytest.raises(requests.RequestException) as caught:
        session.get(url, **options)
    assert time.monotonic() - begin < TIMEOUT / 2
    return error_reason(caught.value)


# Time


ENDLESS = {
    "body": (OK + b"Content-Length: 900\r\n\r\n", b"x"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "one header": (OK + b"X-Long: ", b"x"),
    "headers": (OK, b"X-Header: x\r\n"),
    "status line": (b"", b"H"),
    "interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n",) * 2,
}


def fails_in_time(session: Session, server: Dripping) -> None:
    try:
        failure(session, server.url)

        assert server.sent
        # Nothing is left behind that would read on.
        eventually(lambda: not server.open, "the connection is closed")
        eventually(lambda: "fedbadges-http" not in thread_names(), "the thread has ended")
    finally:
        server.stop()


@pytest.mark.parametrize("part", ENDLESS)
def test_a_server_that_drips_its_answer_is_given_up(hasty: Session, part: str) -> None:
    begin, piece = ENDLESS[part]
    fails_in_time(hasty, Dripping(begin, piece, 0.05))


@pytest.mark.parametrize("part", ["body", "one header"])
def test_a_server_that_drips_its_answer_is_given_up_with_tls(
    hasty: Session, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    begin, piece = ENDLESS[part]
    fails_in_time(hasty, Dripping(begin, piece, 0.05, context))


def thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_name_service_that_hangs_is_given_up(
    hasty: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    resolve = socket.getaddrinfo

    def hang(*arguments: Any, **options: Any) -> Any:
        answered.wait(TIMEOUT)
        return resolve("127.0.0.1", *arguments[1:], **options)

    with serving(lambda path, query: Answer(200)) as server:
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        reason = failure(hasty, server.url.replace("127.0.0.1", "localhost"))
        assert reason == "no complete answer within 1.6 seconds"

        answered.set()

        eventually(lambda: "fedbadges-http" not in thread_names(), "the thread has ended")
        assert server.asked == []


def test_requests_that_nobody_waits_for_any_more_are_few(
    hasty: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.util.http._slots", threading.BoundedSemaphore(1))
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(TIMEOUT) and [])
    failure(hasty, "http://example.org/")

    assert failure(hasty, "http://example.org/") == "too many earlier requests have not ended"

    answered.set()
    eventually(lambda: "fedbadges-http" not in thread_names(), "the thread has ended")
    assert "too many" not in failure(hasty, "http://example.org/")


def test_redirects_share_the_time_of_one_request(hasty: Session) -> None:
    def slow(path: str, query: dict[str, str]) -> Answer:
        time.sleep(0.05)
        return Answer(302, headers={"Location": f"{path}x"})

    hasty.max_redirects = 1_000
    with serving(slow) as server:
        failure(hasty, server.url)

        assert len(server.asked) < 100


# Size


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_an_answer_has_a_largest_size(session: Session, size: int) -> None:
    with serving(lambda path, query: Answer(200, b"x" * size)) as server:
        if size == LIMIT:
            assert session.get(server.url).content == b"x" * size
        else:
            assert failure(session, server.url) == "an answer of more than 1000 bytes"


def test_of_a_large_answer_little_is_read(session: Session) -> None:
    piece = b"x" * 100_000
    server = Dripping(OK + b"\r\n", piece, 0.0)
    tracemalloc.start()
    try:
        assert failure(session, server.url) == "an answer of more than 1000 bytes"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        server.stop()

    assert most < 10_000_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip", "nothing\r\n x"])
def test_a_compressed_answer_is_refused_unread(session: Session, encoding: str) -> None:
    bomb = gzip.compress(b"x" * 500_000)
    headers = {"Content-Encoding": encoding}

    with serving(lambda path, query: Answer(200, bomb, headers=headers)) as server:
        reason = failure(session, server.url)

    assert reason == "an answer that is compressed, which was not asked for"


def test_a_server_that_can_compress_does_not(session: Session) -> None:
    asked: list[str | None] = []
    with serving(lambda path, query: Answer(200)) as server:
        answer = session.get(server.url)
        asked.append(answer.request.headers.get("Accept-Encoding"))

    assert asked == ["identity"]


def test_the_body_of_an_answer_is_not_read_where_it_is_not_needed(session: Session) -> None:
    server = Dripping(OK + b"Content-Length: 100000000000\r\n\r\n", b"x" * 100, 0.01)
    try:
        with session.get(server.url, stream=True) as answer:
            assert answer.status_code == 200
        eventually(lambda: not server.open, "the connection is closed")
    finally:
        server.stop()


def test_the_body_of_a_redirect_is_not_read(session: Session) -> None:
    def answer(path: str, query: dict[str, str]) -> Answer:
        if path == "/there":
            return Answer(200, b"here")
        return Answer(302, b"x" * 10_000, headers={"Location": "/there"})

    with serving(answer) as server:
        assert session.get(server.url).content == b"here"


def test_a_server_does_not_decide_when_it_is_asked_again(session: Session) -> None:
    busy = Answer(503, headers={"Retry-After": "3600"})

    with serving(lambda path, query: busy) as server:
        assert session.get(server.url).status_code == 503

    assert len(server.asked) == 3


# Redirects


def test_a_session_for_one_host_asks_no_other(session: Session, other: Server) -> None:
    with serving(lambda path, query: Answer(200, b"here")) as server:
        bound = Session(TIMEOUT / 8, LIMIT, only=server.url)

        assert bound.get(f"{server.url}/there").content == b"here"
        assert failure(bound, other.url).startswith("a request to another host: ")

    assert other.asked == []


@pytest.fixture
def other() -> Iterator[Server]:
    with serving(lambda path, query: Answer(200, b"elsewhere")) as server:
        yield server


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("target", ["other port", "http://[::1", "//example.org/x", "ftp://a/b"])
def test_a_redirect_to_another_host_is_not_followed(
    session: Session, other: Server, target: str, stream: bool
) -> None:
    location = other.url if target == "other port" else target

    with serving(lambda path, query: Answer(302, headers={"Location": location})) as server:
        reason = failure(session, server.url, stream=stream)

    assert reason.startswith("a redirect to another host: ")
    assert other.asked == []


def test_a_redirect_from_https_to_http_is_not_followed(
    session: Session, other: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, trusted = server_context(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    port = other.url.rpartition(":")[2]
    secure = Server(
        lambda path, query: Answer(302, headers={"Location": f"http://127.0.0.1:{port}/"}), context
    )
    try:
        assert "a redirect to another host: " in failure(session, secure.url)
    finally:
        secure.stop()
    assert other.asked == []


@pytest.mark.parametrize(
    "location", ["", "/%", "/\xff\xfe", "?\x80", "#", "/[", "http:", "http:///x"]
)
def test_an_odd_redirect_is_an_error_or_an_answer(session: Session, location: str) -> None:
    def answer(path: str, query: dict[str, str]) -> Answer:
        return Answer(302, headers={"Location": location}) if path == "/old" else Answer(404)

    with serving(answer) as server:
        try:
            status = session.get(f"{server.url}/old").status_code
        except requests.RequestException:
            status = None

    assert status in (None, 302, 404)


def test_whatever_goes_wrong_is_one_kind_of_error(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a proxy's address without a host, for which urllib3 raises a TypeError."""
    monkeypatch.setenv("http_proxy", "http://me:secret@")

    assert "secret" not in failure(session, "http://badges.example.org/x")


def test_endless_redirects_end(session: Session) -> None:
    with serving(lambda path, query: Answer(302, headers={"Location": f"{path}x"})) as server:
        assert failure(session, server.url) == "Exceeded 5 redirects."

        assert len(server.asked) == 6


def test_what_a_server_says_is_shown_escaped_and_short(session: Session) -> None:
    location = "http://me:secret@example.org/\x1b[31m" + "x" * 5_000

    with serving(lambda path, query: Answer(302, headers={"Location": location})) as server:
        reason = failure(session, server.url)

    assert "secret" not in reason
    assert reason.isprintable()
    assert len(reason) < 600


def test_only_a_few_cookies_of_a_server_are_kept(session: Session) -> None:
    """Each answer could bring others, for as long as the daemon runs."""
    numbers = itertools.count()

    def answer(path: str, query: dict[str, str]) -> Answer:
        number = next(numbers)
        # A header of this server is a name and a value, whatever they are.
        cookies = "\r\n".join(f"Set-Cookie: x{number}x{each}=y" for each in range(50))
        return Answer(200, headers={"Set-Cookie": f"login={number}\r\n{cookies}"})

    with serving(answer) as server:
        for _ in range(5):
            session.get(server.url)

    assert len(session.cookies) == 10
    assert session.cookies["login"] == "4"


# Addresses and proxies


def test_an_ipv6_literal_is_an_address(session: Session) -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no IPv6 here")
    port = listening.getsockname()[1]
    listening.close()

    reason = failure(session, f"http://me:secret@[::1]:{port}/x")

    assert "Connection refused" in reason
    assert "secret" not in reason


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://me:secret@[::1]:80/x", "https://[::1]:80/x"),
        ("https://me:se@cret@host/x", "https://host/x"),
        ("https://me:se?c#ret@host/x", "https://host/x"),
        ("https://me@host", "https://host"),
        ("https://host/a@b", "https://host/a@b"),
        ("x http://a:b@c/ http://d:e@f/", "x http://c/ http://f/"),
    ],
)
def test_credentials_in_addresses_are_masked(url: str, masked: str) -> None:
    assert strip_credentials(url) == masked


def test_credentials_in_an_address_are_masked_whatever_they_are() -> None:
    assert shown("https://me:se cret\n\t@host/x\n") == "https://host/x\\n"


def test_a_proxy_of_the_environment_is_asked(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda path, query: Answer(200, path.encode())) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)

        assert session.get("http://badges.example.org/x").content == b"/x"

        assert proxy.asked == ["http://badges.example.org/x"]


def test_a_proxy_that_drips_is_given_up(hasty: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Dripping(b"HTTP/1.1 200 OK\r\n", b"X-Header: x\r\n", 0.05)
    try:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for scheme in ("http", "https"):
            failure(hasty, f"{scheme}://badges.example.org/x")
        eventually(lambda: not proxy.open, "the connections are closed")
    finally:
        proxy.stop()


def test_a_session_works_after_a_request_that_was_given_up() -> None:
    session = Session(timeout=1, max_bytes=LIMIT)
    with serving(lambda path, query: Answer(200, b"x" * len(path))) as server:
        slow = Dripping(OK + b"X-Long: ", b"x", 0.05)
        try:
            assert session.get(f"{server.url}/abc").content == b"xxxx"
            failure(session, slow.url)
            assert session.get(f"{server.url}/abc").content == b"xxxx"
        finally:
            slow.stop()
