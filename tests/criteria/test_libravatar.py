"""Libravatar: who has an avatar."""

import threading
from collections.abc import Iterator
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message, make_settings
from support.bus import fedmsg_body
from support.daemon import running
from support.databases import Databases
from support.rule_text import assert_mistakes, load
from support.rules import rule
from support.waiting import eventually
from support.web import Answer, Dripping, Server, serving

from fedbadges.criteria.libravatar import Avatars
from fedbadges.errors import Unavailable
from fedbadges.rules.criteria import Question


def openid(name: str) -> str:
    return sha256(f"http://{name}.id.example.org/".encode()).hexdigest()


def email(name: str) -> str:
    return md5(f"{name}@example.org".encode()).hexdigest()


PICTURES = {openid("alice"), email("bob")}


def answer(path: str, query: dict[str, str]) -> Answer:
    """Answers as Libravatar does, which without ``d=404`` always has some picture."""
    found = path.removeprefix("/avatar/") in PICTURES or query.get("d") != "404"
    return Answer(200, b"\x89PNG", "image/png") if found else Answer(404)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(answer)
    yield made
    made.stop()


def backend_for(server: Server | None, directory: Path, **keys: Any) -> Avatars:
    databases = Databases("sqlite", "sqlite://", "sqlite://")
    if server is not None:
        keys = {"libravatar.url": f"{server.url}/avatar/"} | keys
    return Avatars(make_settings(databases, directory, **keys))


@pytest.fixture
def backend(server: Server, tmp_path: Path) -> Avatars:
    return backend_for(server, tmp_path)


def holds(backend: Avatars, name: str, exists: str = "Yes", memo: dict | None = None) -> bool:
    body = f"criteria: {{libravatar: {{exists: {exists}}}}}\n"
    criteria = load(body, {"libravatar": backend}).criteria
    return criteria.holds(
        Question(make_message(), recipient=name, message_cache={} if memo is None else memo)
    )


def test_an_avatar_is_found_by_openid_or_by_address(backend: Avatars) -> None:
    assert [holds(backend, name) for name in ("alice", "bob", "carol")] == [True, True, False]


def test_a_rule_may_ask_for_people_without_an_avatar(backend: Avatars) -> None:
    assert [holds(backend, name, "No") for name in ("alice", "carol")] == [False, True]


def test_a_candidate_is_looked_up_once_for_each_message(server: Server, backend: Avatars) -> None:
    memo: dict[Any, Any] = {}
    for exists in ("Yes", "No"):
        holds(backend, "carol", exists, memo)
    both = [f"/avatar/{openid('carol')}?d=404&s=1", f"/avatar/{email('carol')}?d=404&s=1"]
    assert server.asked == both

    holds(backend, "carol")

    assert server.asked == both * 2


def test_a_rule_about_avatars_is_judged_by_candidate_and_needs_no_history(
    backend: Avatars,
) -> None:
    made = load("criteria: {libravatar: {exists: Yes}}\n", {"libravatar": backend})

    assert made.names_recipient
    assert not made.needs_history


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_an_unexpected_status_is_unavailable(server: Server, backend: Avatars, status: int) -> None:
    server.instead = Answer(status)

    with pytest.raises(Unavailable, match=f"^Libravatar at {server.url}/avatar: {status} "):
        holds(backend, "alice")


def test_a_server_that_is_down_is_unavailable(server: Server, backend: Avatars) -> None:
    server.stop()

    with pytest.raises(Unavailable, match="Connection refused"):
        holds(backend, "alice")


def test_a_server_that_hangs_is_unavailable_after_the_timeout(
    server: Server, tmp_path: Path
) -> None:
    backend = backend_for(server, tmp_path, **{"libravatar.timeout": 0.1})
    server.hangs = True

    with pytest.raises(Unavailable, match=r"read timeout=0\.1|no complete answer"):
        holds(backend, "alice")


def test_the_picture_is_not_read(tmp_path: Path) -> None:
    begin = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n"
    endless = Dripping(begin, b"x" * 1_000, 0.01)
    try:
        url = f"{endless.url}/avatar"
        backend = backend_for(None, tmp_path, **{"libravatar.url": url})

        assert holds(backend, "alice")
        eventually(lambda: not endless.open, "the connection is closed")
    finally:
        endless.stop()


def test_an_answer_that_drips_is_unavailable(tmp_path: Path) -> None:
    endless = Dripping(b"HTTP/1.1 200 OK\r\n", b"X-Header: x\r\n", 0.02)
    try:
        keys = {"libravatar.url": f"{endless.url}/avatar", "libravatar.timeout": 0.1}
        backend = backend_for(None, tmp_path, **keys)

        with pytest.raises(Unavailable):
            holds(backend, "alice")
        eventually(lambda: not endless.open, "the connections are closed")
    finally:
        endless.stop()


def test_a_redirect_on_the_same_host_is_followed(tmp_path: Path) -> None:
    def moved(path: str, query: dict[str, str]) -> Answer:
        if path.startswith("/avatar/"):
            return Answer(302, headers={"Location": path.replace("avatar", "proxy") + "?d=404"})
        return answer(path.replace("proxy", "avatar"), query)

    with serving(moved) as server:
        backend = backend_for(server, tmp_path)

        assert [holds(backend, name) for name in ("alice", "carol")] == [True, False]


def test_a_redirect_to_another_host_says_nothing_of_avatars(server: Server, tmp_path: Path) -> None:
    answers = Answer(302, headers={"Location": f"{server.url}/avatar/x"})
    with (
        serving(lambda path, query: answers) as other,
        pytest.raises(Unavailable, match="a redirect to another host: "),
    ):
        holds(backend_for(other, tmp_path), "alice")

    assert server.asked == []


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        ("→{}", "libravatar criteria is empty; expected exactly one of 'exists'"),
        (
            "→Yes",
            "'libravatar' is a mapping, and this is a truth value, 'Yes' (quotes make it text)",
        ),
        ("{exists: →1}", "'exists' is Yes or No"),
        ('{exists: "→Yes"}', "'exists' is Yes or No"),
        ("{exists: →[Yes]}", "'exists' is Yes or No"),
        (
            "{→exist: Yes}",
            "unknown key 'exist' in libravatar criteria; did you mean 'exists'? There are 'exists'",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_place(
    backend: Avatars, criteria: str, message: str
) -> None:
    body = f"criteria:\n  libravatar: {criteria}\n"
    assert_mistakes(body, message, using={"libravatar": backend})


def test_a_daemon_waits_while_libravatar_is_away(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    body = 'trigger: {topic: fas.user.update}\nrecipient: "%(msg.user)s"\n'
    rules = {"mugshot": rule("Mugshot", body + "criteria: {libravatar: {exists: Yes}}\n")}
    server.stop()
    with running(tmp_path, rules, **{"libravatar.url": f"{server.url}/avatar"}) as daemon:
        message = fedmsg_body("fas.user.update", {"user": "alice"})
        handling = threading.Thread(target=daemon.handle, args=(message,))
        handling.start()
        eventually(
            lambda: 'Waiting for an outage to end error="Libravatar' in caplog.text, "a warning"
        )
        assert daemon.badges("alice") == set()

        server.restart()

        handling.join()
        assert daemon.badges("alice") == {"mugshot"}
        daemon.handle(fedmsg_body("fas.user.update", {"user": "carol"}))
        assert daemon.badges("carol") == set()
