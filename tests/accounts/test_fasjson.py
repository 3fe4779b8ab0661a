"""FASJSON: what it is asked, what its answers mean, and what happens while it is away."""

import datetime
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message, make_settings
from support.bus import fedmsg_body
from support.daemon import THIS_MESSAGE, running
from support.databases import Databases
from support.fasjson import SPECIFICATION, Fasjson, User
from support.rule_text import assert_mistakes, load
from support.rules import rule
from support.waiting import eventually
from support.web import Answer, Dripping, serving

from fedbadges.accounts.service import Fasjson as Client
from fedbadges.config.settings import Settings
from fedbadges.criteria.groups import Groups
from fedbadges.errors import Unavailable
from fedbadges.rules.criteria import Question

pytest.importorskip("fasjson_client", reason="make test-slow installs the extra fasjson")

pytestmark = pytest.mark.slow

USERS = {
    "alice": User(("al", "irc:/wonder"), ("alice@mail.example",), "ali", ("packager", "docs")),
    "bob": User(("irc:/bobby", "matrix:/bo"), ("bob@mail.example",), groups=("docs",)),
    "carol": User(("irc:/bobby",), ("shared@mail.example",), "carol-hub"),
    "dave": User((), ("shared@mail.example",)),
}


@pytest.fixture
def fasjson() -> Iterator[Fasjson]:
    service = Fasjson(dict(USERS), {"packager", "docs", "empty"})
    yield service
    service.server.stop()


def settings_for(service: Fasjson, directory: Path, **keys: Any) -> Settings:
    keys = {"fasjson.url": service.url, "fasjson.auth": False} | keys
    return make_settings(Databases("sqlite", "sqlite://", "sqlite://"), directory, **keys)


@pytest.fixture
def client(fasjson: Fasjson, tmp_path: Path) -> Client:
    return Client(settings_for(fasjson, tmp_path))


# Who exists


@pytest.mark.parametrize(("name", "exists"), [("alice", True), ("mallory", False)])
def test_fasjson_says_which_accounts_exist(client: Client, name: str, exists: bool) -> None:
    assert client.exists(name) is exists


def test_fasjson_says_when_an_account_was_created(client: Client) -> None:
    assert client.created("alice") == datetime.datetime(2020, 1, 1)
    assert client.created("mallory") is None


@pytest.mark.parametrize("name", [".", "..", "-x", "a+b", "ä", "a$", "[m]", "a" * 65, "%2e%2e"])
def test_fasjson_is_not_asked_about_invalid_names(
    fasjson: Fasjson, client: Client, name: str
) -> None:
    assert client.exists(name) is False
    assert client.is_member("docs", name) is False
    assert fasjson.server.asked == []


# Whose another name is


@pytest.mark.parametrize(
    ("nick", "account"),
    [
        ("al", "alice"),
        ("wonder", "alice"),
        ("nobody", None),
        ("bo", None),  # on Matrix, not on IRC
        ("bobby", None),  # two have it, so nobody can tell who is meant
        ("*", None),  # would mean everybody
        ("a b", None),
        ("ä", None),
        ("", None),
    ],
)
def test_fasjson_finds_the_account_of_an_irc_nick(
    client: Client, nick: str, account: str | None
) -> None:
    assert client.by_nick(nick) == account


@pytest.mark.parametrize(
    ("address", "account"),
    [
        ("alice@mail.example", "alice"),
        ("nobody@mail.example", None),
        ("shared@mail.example", None),
        ("*", None),
    ],
)
def test_fasjson_finds_the_account_of_an_address(
    client: Client, address: str, account: str | None
) -> None:
    assert client.by_email(address) == account


@pytest.mark.parametrize(("name", "account"), [("ali", "alice"), ("nobody", None), ("*", None)])
def test_fasjson_finds_the_account_of_a_name_on_github(
    client: Client, name: str, account: str | None
) -> None:
    assert client.by_github(name) == account


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (Client.by_nick, "AL"),
        (Client.by_nick, "Wonder"),
        (Client.by_email, "Alice@Mail.Example"),
        (Client.by_github, "Ali"),
    ],
)
def test_fasjson_finds_an_account_by_a_name_in_any_case(
    client: Client, ask: Callable[[Client, str], str | None], name: str
) -> None:
    assert ask(client, name) == "alice"


@pytest.mark.parametrize(("nick", "account"), [("Shared", None), ("OneOf", "bob")])
def test_names_that_differ_in_case_identify_nobody_if_several_accounts_have_them(
    fasjson: Fasjson, client: Client, nick: str, account: str | None
) -> None:
    fasjson.users |= {"alice": User(("Shared",)), "bob": User(("shared", "oneof"))}

    assert client.by_nick(nick) == account


# What is no answer

QUESTIONS: list[Callable[[Client], object]] = [
    lambda client: client.exists("alice"),
    lambda client: client.by_nick("al"),
    lambda client: client.is_member("docs", "alice"),
]


@pytest.fixture(params=QUESTIONS, ids=["user", "search", "group"])
def ask(request: pytest.FixtureRequest, client: Client) -> Callable[[], object]:
    return lambda: request.param(client)


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b'{"message": "LDAP server is down", "source": "LDAP"}'),
        Answer(503, b"busy", "text/plain"),
        Answer(401, b'{"message": "Unauthorized"}'),
        Answer(403, b"<p>Forbidden</p>", "text/html"),
        Answer(429, b"slower", "text/plain"),
        Answer(404, b"<p>no such application</p>", "text/html"),
        Answer(200, b"<p>Maintenance</p>", "text/html"),
        Answer(200, b"{broken"),
        Answer(200, b"[]"),
        Answer(200, b"{}"),
    ],
)
def test_unusable_answers_of_fasjson_mean_unavailable(
    fasjson: Fasjson, client: Client, ask: Callable[[], object], answer: Answer, connected: bool
) -> None:
    if connected:
        client.exists("bob")
    fasjson.server.instead = answer

    with pytest.raises(Unavailable) as caught:
        ask()

    assert str(caught.value).startswith(f"FASJSON at {fasjson.url}: ")
    assert "\n" not in str(caught.value)
    fasjson.server.instead = None
    assert ask() in (True, "alice")


@pytest.mark.parametrize("connected", [True, False])
def test_a_server_that_is_down_is_unavailable(
    fasjson: Fasjson, client: Client, ask: Callable[[], object], connected: bool
) -> None:
    if connected:
        client.exists("bob")
    fasjson.server.stop()

    with pytest.raises(Unavailable, match="Connection refused"):
        ask()

    fasjson.server.restart()
    assert ask() in (True, "alice")


@pytest.mark.parametrize("connected", [True, False])
def test_a_server_that_hangs_is_unavailable_when_the_time_is_up(
    fasjson: Fasjson, tmp_path: Path, connected: bool
) -> None:
    client = Client(settings_for(fasjson, tmp_path, **{"fasjson.timeout": 0.1}))
    if connected:
        client.exists("bob")
    fasjson.server.hangs = True
    began = time.monotonic()

    with pytest.raises(Unavailable, match="timed out"):
        client.exists("alice")

    assert time.monotonic() - began < 5


def test_transient_failure_of_fasjson_is_retried(fasjson: Fasjson, client: Client) -> None:
    client.exists("bob")
    fasjson.server.instead = Answer(503)
    result: list[bool] = []
    asking = threading.Thread(target=lambda: result.append(client.exists("alice")))
    before = len(fasjson.asked)

    asking.start()
    eventually(lambda: len(fasjson.asked) > before, "the question")
    fasjson.server.instead = None
    asking.join()

    assert result == [True]


def test_question_that_fasjson_refuses_is_not_retried(fasjson: Fasjson, client: Client) -> None:
    client.exists("bob")
    fasjson.server.instead = Answer(400, b'{"message": "Input payload validation failed"}')

    assert client.by_nick("al") is None


def test_fasjson_without_kerberos_ticket_is_unavailable(
    fasjson: Fasjson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/none")
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", f"{tmp_path}/none")
    client = Client(settings_for(fasjson, tmp_path, **{"fasjson.auth": True}))

    with pytest.raises(Unavailable, match="Authentication failed"):
        client.exists("alice")


# Groups as criteria


def in_groups(backend: Groups, criteria: str, name: str, memo: dict | None = None) -> bool:
    criterion = load(f"criteria: {{fasjson: {criteria}}}\n", {"fasjson": backend}).criteria
    memo = {} if memo is None else memo
    return criterion.holds(Question(make_message(), recipient=name, message_cache=memo))


@pytest.fixture
def backend(fasjson: Fasjson, tmp_path: Path) -> Groups:
    return Groups(settings_for(fasjson, tmp_path))


@pytest.mark.parametrize(
    ("criteria", "members"),
    [
        ("{group: packager}", {"alice"}),
        ("{group: docs}", {"alice", "bob"}),
        ("{group: empty}", set()),
        ("{group: {any: [packager, docs]}}", {"alice", "bob"}),
        ("{group: {all: [packager, docs]}}", {"alice"}),
        ("{group: {not: packager}}", {"bob", "carol", "mallory"}),
        ("{group: {all: [docs, {not: packager}]}}", {"bob"}),
    ],
)
def test_fasjson_says_who_is_in_a_group(backend: Groups, criteria: str, members: set[str]) -> None:
    names = ("alice", "bob", "carol", "mallory")

    assert {name for name in names if in_groups(backend, criteria, name)} == members


def test_missing_group_has_no_members_and_is_warned_of_once(
    backend: Groups, caplog: pytest.LogCaptureFixture
) -> None:
    assert in_groups(backend, "{group: pacakger}", "alice") is False
    assert in_groups(backend, "{group: pacakger}", "bob") is False

    assert caplog.messages == ["FASJSON has no such group, so nobody is in it group=pacakger"]


def test_each_candidate_and_group_is_asked_about_once_a_message(
    fasjson: Fasjson, backend: Groups
) -> None:
    memo: dict[Any, Any] = {}
    for name in ("alice", "bob", "alice"):
        in_groups(backend, "{group: {any: [empty, docs]}}", name, memo)
    assert fasjson.asked == [
        "/groups/empty/is-member/alice",
        "/groups/docs/is-member/alice",
        "/groups/empty/is-member/bob",
        "/groups/docs/is-member/bob",
    ]

    in_groups(backend, "{group: docs}", "alice")

    assert fasjson.asked[4:] == ["/groups/docs/is-member/alice"]


def test_a_rule_about_groups_is_judged_by_candidate_and_needs_no_history(backend: Groups) -> None:
    made = load("criteria: {fasjson: {group: docs}}\n", {"fasjson": backend})

    assert made.names_recipient
    assert not made.needs_history


@pytest.mark.parametrize(
    ("criteria", "message"),
    [
        (
            "fasjson: →{}",
            "fasjson criteria is empty; expected exactly one of 'group'",
        ),
        (
            "fasjson: →packager",
            "'fasjson' is a mapping, and this is text",
        ),
        (
            "fasjson: {→groups: packager}",
            "unknown key 'groups' in fasjson criteria; did you mean 'group'? There are 'group'",
        ),
        (
            "fasjson: {group: →[packager, docs]}",
            "a group is text, and this is a list",
        ),
        (
            "fasjson: {group: {any: →packager}}",
            "'any' takes a list, and this is text",
        ),
        (
            "fasjson: {group: {any: →[]}}",
            "'any' is empty; it takes at least one",
        ),
        (
            "fasjson: {group: {→one: [packager]}}",
            "unknown key 'one' in a 'group'; expected 'all', 'any' or 'not'",
        ),
        (
            "fasjson: {group: {all: [docs, →7]}}",
            "a group is text, and this is a number, '7' (quotes make it text)",
        ),
        (
            'fasjson: {group: "→../users"}',
            "'../users' cannot be the name of a group",
        ),
    ],
)
def test_mistake_in_groups_is_reported_at_its_place(
    backend: Groups, criteria: str, message: str
) -> None:
    assert_mistakes(f"criteria:\n  {criteria}\n", message, using={"fasjson": backend})


# All of it, in a daemon

GIVEN = 'trigger: {topic: git.receive}\nrecipient: "%(msg.user)s"\n'
RULES = {
    "commit": rule("Commit", GIVEN + THIS_MESSAGE),
    "packager": rule("Packager", GIVEN + "criteria: {fasjson: {group: packager}}\n"),
}


def received(user: str) -> dict[str, Any]:
    return fedmsg_body("git.receive", {"user": user})


def daemon_keys(service: Fasjson, **keys: Any) -> dict[str, Any]:
    return {"accounts": "fasjson", "fasjson.url": service.url, "fasjson.auth": False} | keys


def test_a_daemon_awards_to_those_who_exist(fasjson: Fasjson, tmp_path: Path) -> None:
    with running(tmp_path, RULES, **daemon_keys(fasjson)) as daemon:
        for name in ("alice", "bob", "mallory"):
            daemon.handle(received(name))

        assert daemon.badges("alice") == {"commit", "packager"}
        assert daemon.badges("bob") == {"commit"}
        assert daemon.badges("mallory") == set()


def test_daemon_asks_about_each_account_once(fasjson: Fasjson, tmp_path: Path) -> None:
    rules = {"nick": rule("Nick", GIVEN + "recipient_nick2fas: Yes\n" + THIS_MESSAGE)}
    rules["same"] = rules["nick"].replace("name: Nick", "name: Same")
    with running(tmp_path, rules, **daemon_keys(fasjson)) as daemon:
        for name in ("wonder", "nobody", "wonder", "nobody"):
            daemon.handle(received(name))

        assert daemon.badges("alice") == {"nick", "same"}
    assert fasjson.server.asked.count(SPECIFICATION) == 1
    assert fasjson.asked == [
        "/search/users/?ircnick__exact=wonder",
        "/search/users/?ircnick__exact=irc%3A%2Fwonder",
        "/users/alice/",
        "/search/users/?ircnick__exact=nobody",
        "/search/users/?ircnick__exact=irc%3A%2Fnobody",
    ]


def test_daemon_waits_while_the_accounts_service_is_away(
    fasjson: Fasjson, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fasjson.server.stop()
    with running(tmp_path, RULES, **daemon_keys(fasjson)) as daemon:
        handling = threading.Thread(target=daemon.handle, args=(received("alice"),))
        handling.start()
        eventually(
            lambda: 'Waiting for an outage to end error="FASJSON' in caplog.text, "a warning"
        )
        assert daemon.badges("alice") == set()

        fasjson.server.restart()

        handling.join()
        assert daemon.badges("alice") == {"commit", "packager"}


# What answers, but not as FASJSON


def test_an_answer_that_never_ends_is_unavailable(fasjson: Fasjson, tmp_path: Path) -> None:
    endless = Dripping(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" ", 0.02)
    try:
        keys = {"fasjson.url": f"{endless.url}/fasjson", "fasjson.timeout": 0.1}
        client = Client(settings_for(fasjson, tmp_path, **keys))

        with pytest.raises(Unavailable):
            client.exists("alice")
    finally:
        endless.stop()


def test_a_redirect_to_another_host_is_unavailable_and_not_followed(
    fasjson: Fasjson, client: Client
) -> None:
    assert client.exists("alice")
    with serving(lambda path, query: Answer(200, b'{"result": {}}')) as other:
        fasjson.server.instead = Answer(302, headers={"Location": f"{other.url}/x"})

        with pytest.raises(Unavailable, match="a redirect to another host: "):
            client.exists("bob")

        assert other.asked == []


def test_a_redirect_on_the_same_host_is_followed(fasjson: Fasjson, tmp_path: Path) -> None:
    def answer(path: str, query: dict[str, str]) -> Answer:
        if path.startswith("/old/"):
            return Answer(301, headers={"Location": path.removeprefix("/old")})
        return fasjson.server._answer(path, query)

    with serving(answer) as moved:
        url = f"{moved.url}/old/fasjson"
        client = Client(settings_for(fasjson, tmp_path, **{"fasjson.url": url}))

        assert client.exists("alice")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(200, b" " * 10_000_000), "an answer of more than"),
        (Answer(200, b"x", headers={"Content-Encoding": "gzip"}), "an answer that is compressed"),
    ],
)
def test_an_answer_that_is_too_large_or_compressed_is_unavailable(
    fasjson: Fasjson, client: Client, answer: Answer, reason: str
) -> None:
    assert client.exists("alice")
    fasjson.server.instead = answer

    with pytest.raises(Unavailable, match=reason):
        client.exists("bob")


@pytest.mark.parametrize("reference", ["file", "http"])
def test_a_specification_that_refers_to_files_or_addresses_is_unavailable(
    fasjson: Fasjson, tmp_path: Path, reference: str
) -> None:
    """It could name a file without an end."""
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    with serving(lambda path, query: Answer(200, b"{}")) as other:
        target = {"file": secret.as_uri(), "http": f"{other.url}/x"}[reference]
        specification = fasjson.server._answer(SPECIFICATION, {}).body
        changed = specification.replace(b"#/definitions/User", target.encode())
        assert changed != specification
        fasjson.server.instead = Answer(200, changed)
        client = Client(settings_for(fasjson, tmp_path))

        with pytest.raises(Unavailable, match="a specification that refers to "):
            client.exists("alice")

        assert other.asked == []


def test_a_specification_cannot_send_queries_to_another_host(
    fasjson: Fasjson, tmp_path: Path
) -> None:
    with serving(lambda path, query: Answer(200, b'{"result": {}}')) as other:
        specification = json.loads(fasjson.server._answer(SPECIFICATION, {}).body)
        specification["host"] = other.url.removeprefix("http://")
        fasjson.server.instead = Answer(200, json.dumps(specification).encode())
        client = Client(settings_for(fasjson, tmp_path))

        with pytest.raises(Unavailable, match="a request to another host: "):
            client.exists("alice")

        assert other.asked == []
