"""A server that speaks FASJSON's protocol, with the few people and groups that a test names."""

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from support.web import Answer, Server

# Below an address of its own, as in Fedora's early days: nothing may expect the root.
BASE = "/fasjson"
SPECIFICATION = f"{BASE}/specs/v1.json"

_NAME = "[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}"


@dataclass(frozen=True)
class User:
    nicks: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    github: str | None = None
    groups: tuple[str, ...] = ()
    sponsors: tuple[str, ...] = ()
    """The groups in which this member sponsors others."""

    def shown(self, name: str) -> dict[str, Any]:
        return {
            "username": name,
            "ircnicks": list(self.nicks) or None,
            "emails": list(self.emails),
            "github_username": self.github,
            "creation": "2020-01-01T00:00:00",
            "locked": False,
        }


@dataclass
class Fasjson:
    """The server, and whom it knows."""

    users: dict[str, User] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.server = Server(self._answer)

    @property
    def url(self) -> str:
        return self.server.url + BASE

    @property
    def asked(self) -> list[str]:
        """What it was asked, without the specification that a client reads first."""
        start = f"{BASE}/v1"
        return [path.removeprefix(start) for path in self.server.asked if path.startswith(start)]

    def _answer(self, path: str, query: dict[str, str]) -> Answer:
        if path == SPECIFICATION:
            return _json(200, _SPECIFICATION)
        for pattern, answer in self._routes().items():
            found = re.fullmatch(BASE + "/v1" + pattern, path)
            if found:
                return answer(*found.groups(), **query)
        return _json(404, {"message": "The requested URL was not found on the server."})

    def _routes(self) -> dict[str, Callable[..., Answer]]:
        return {
            f"/users/({_NAME})/": self._user,
            "/search/users/": self._search,
            f"/groups/({_NAME})/is-member/({_NAME})": self._is_member,
            f"/groups/({_NAME})/members/": self._members,
            f"/groups/({_NAME})/sponsors/": self._sponsors,
        }

    def _user(self, name: str) -> Answer:
        user = self.users.get(name)
        if user is None:
            return _json(404, {"name": name, "message": "User not found"})
        return _json(200, {"result": user.shown(name)})

    def _search(self, **terms: str) -> Answer:
        terms.pop("page_number", None)
        ((term, wanted),) = terms.items()
        values: dict[str, Callable[[User], tuple[str | None, ...]]] = {
            "ircnick__exact": lambda user: user.nicks,
            "email": lambda user: user.emails,
            "github_username": lambda user: (user.github,),
        }
        found = [
            user.shown(name)
            for name, user in self.users.items()
            if wanted == "*" or wanted in values[term](user)
        ]
        page = {"total_results": len(found), "page_size": 40, "page_number": 1, "total_pages": 1}
        return _json(200, {"result": found, "page": page})

    def _is_member(self, group: str, name: str) -> Answer:
        if group not in self.groups:
            return _json(404, {"groupname": group, "message": "Group not found"})
        return _json(200, {"result": group in self.users.get(name, User()).groups})

    def _members(self, group: str, page_size: str = "0", page_number: str = "1") -> Answer:
        if group not in self.groups:
            return _json(404, {"groupname": group, "message": "Group not found"})
        found = self._accounts(name for name, user in self.users.items() if group in user.groups)
        size, number = int(page_size), int(page_number)
        if not size:
            return _json(200, {"result": found})
        pages = math.ceil(len(found) / size)
        page = {
            "total_results": len(found),
            "page_size": size,
            "page_number": number,
            "total_pages": pages,
        }
        if number < pages:
            query = f"page_size={size}&page_number={number + 1}"
            page["next_page"] = f"{self.url}/v1/groups/{group}/members/?{query}"
        return _json(200, {"result": found[(number - 1) * size : number * size], "page": page})

    def _sponsors(self, group: str) -> Answer:
        """Answer as FASJSON does, which has no pages here."""
        if group not in self.groups:
            return _json(404, {"groupname": group, "message": "Group not found"})
        names = (name for name, user in self.users.items() if group in user.sponsors)
        return _json(200, {"result": self._accounts(names)})

    def _accounts(self, names: Iterable[str]) -> list[dict[str, Any]]:
        return [{"username": name, "uri": f"{self.url}/v1/users/{name}/"} for name in names]


def _json(status: int, body: object) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _operation(name: str, result: object, *parameters: dict[str, object]) -> dict[str, object]:
    return {
        "operationId": name,
        "tags": [name],
        "parameters": [*parameters],
        "responses": {
            "200": {"description": "Success", "schema": {"properties": {"result": result}}},
            "401": {"description": "Unauthorized. You need to be logged in."},
            "404": {"description": "Not found"},
        },
    }


def _parameter(place: str, name: str, **more: object) -> dict[str, object]:
    return {"in": place, "name": name, "type": "string", "required": place == "path", **more}


_USER = {"$ref": "#/definitions/User"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_ACCOUNTS = {"type": "array", "items": _USER}
_PAGE = (
    {"in": "query", "name": "page_size", "type": "integer"},
    {"in": "query", "name": "page_number", "type": "integer", "default": 1},
)
_MASK = _parameter("header", "X-Fields", format="mask")

# What FASJSON 1.7 gives, as far as it is used.
_SPECIFICATION = {
    "swagger": "2.0",
    "basePath": f"{BASE}/v1",
    "info": {"title": "FAS-JSON", "version": "1.0"},
    "consumes": ["application/json"],
    "produces": ["application/json"],
    "paths": {
        "/users/{username}/": {
            "get": _operation("get_user", _USER, _parameter("path", "username"), _MASK)
        },
        "/search/users/": {
            "get": _operation(
                "search",
                _ACCOUNTS,
                *_PAGE,
                *(
                    _parameter("query", name)
                    for name in ("ircnick", "ircnick__exact", "email", "github_username")
                ),
                _MASK,
            )
        },
        "/groups/{groupname}/members/": {
            "get": _operation(
                "list_group_members", _ACCOUNTS, _parameter("path", "groupname"), *_PAGE, _MASK
            )
        },
        "/groups/{groupname}/sponsors/": {
            "get": _operation(
                "list_group_sponsors", _ACCOUNTS, _parameter("path", "groupname"), _MASK
            )
        },
        "/groups/{groupname}/is-member/{username}": {
            "get": _operation(
                "check_membership",
                {"type": "boolean"},
                _parameter("path", "groupname"),
                _parameter("path", "username"),
            )
        },
    },
    "definitions": {
        "User": {
            "type": "object",
            "properties": {
                "username": {"type": "string"},
                "ircnicks": _TEXTS,
                "emails": _TEXTS,
                "github_username": {"type": "string"},
                "creation": {"type": "string", "format": "date-time"},
                "locked": {"type": "boolean", "default": False},
            },
        }
    },
}
