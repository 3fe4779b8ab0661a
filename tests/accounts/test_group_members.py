"""Who is in a group, as FASJSON lists it page by page."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_settings
from support.databases import Databases
from support.fasjson import Fasjson, User
from support.web import Answer

from fedbadges.accounts.service import Fasjson as Client
from fedbadges.errors import Unavailable

http = pytest.importorskip(
    "fedbadges.accounts.fasjson_http", reason="make test-slow installs the extra fasjson"
)

pytestmark = pytest.mark.slow

MEMBERS = [f"member{number}" for number in range(7)]


@pytest.fixture
def fasjson() -> Iterator[Fasjson]:
    users = {name: User(groups=("packager",)) for name in MEMBERS}
    users["member3"] = User(groups=("packager",), sponsors=("packager",))
    service = Fasjson({**users, "other": User(groups=("docs",))}, {"packager", "docs", "empty"})
    yield service
    service.server.stop()


@pytest.fixture
def client(fasjson: Fasjson, tmp_path: Path) -> Client:
    keys: dict[str, Any] = {"fasjson.url": fasjson.url, "fasjson.auth": False}
    return Client(make_settings(Databases("sqlite", "sqlite://", "sqlite://"), tmp_path, **keys))


@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_all_pages_of_members_are_read(
    client: Client, fasjson: Fasjson, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(http, "_PAGE_SIZE", size)

    assert client.people_in("packager", "members") == set(MEMBERS)
    assert len(fasjson.asked) == -(-len(MEMBERS) // size)


def test_sponsors_have_no_pages(client: Client) -> None:
    assert client.people_in("packager", "sponsors") == {"member3"}


@pytest.mark.parametrize("memberships", ["members", "sponsors"])
def test_empty_group_is_not_a_missing_one(client: Client, memberships: str) -> None:
    assert client.people_in("empty", memberships) == set()
    assert client.people_in("pacakger", memberships) is None


@pytest.mark.parametrize("memberships", ["members", "sponsors"])
@pytest.mark.parametrize(
    "result", [[{"name": "alice"}], [{"username": None}], ["alice"], {"username": "alice"}, None, 7]
)
def test_list_that_names_nobody_is_no_answer(
    fasjson: Fasjson, client: Client, memberships: str, result: object
) -> None:
    client.exists("other")
    fasjson.server.instead = Answer(200, json.dumps({"result": result}).encode())

    with pytest.raises(Unavailable, match="FASJSON at "):
        client.people_in("packager", memberships)


def test_list_without_end_is_given_up(
    fasjson: Fasjson, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_MAX_PAGES", 3)
    client.exists("other")
    endless = {"result": [{"username": "a"}], "page": {"next_page": f"{fasjson.url}/v1/"}}
    fasjson.server.instead = Answer(200, json.dumps(endless).encode())

    with pytest.raises(Unavailable, match="more than 3 pages of list_group_members"):
        client.people_in("packager", "members")


def test_pages_are_asked_for_at_the_address_of_the_configuration(
    fasjson: Fasjson, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever address an answer gives for the next one."""
    monkeypatch.setattr(http, "_MAX_PAGES", 2)
    client.exists("other")
    elsewhere = {"result": [], "page": {"next_page": "http://192.0.2.1/v1/"}}
    fasjson.server.instead = Answer(200, json.dumps(elsewhere).encode())

    with pytest.raises(Unavailable, match="more than 2 pages"):
        client.people_in("packager", "members")
    assert [path.partition("?")[0] for path in fasjson.asked[-2:]] == [
        "/groups/packager/members/"
    ] * 2
