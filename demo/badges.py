"""Reads and prepares tahrir's database for the demo."""

from __future__ import annotations

import datetime
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.utils import get_db_manager_from_uri


class Award(NamedTuple):
    """A badge that somebody holds, and the id of the message that earned it."""

    person: str
    badge: str
    when: datetime.datetime
    msg_id: str


def add_opted_out(uri: str, nickname: str, domain: str) -> None:
    """Create the database and a person who has opted out of badges."""
    get_db_manager_from_uri(uri).sync()
    database = TahrirDatabase(uri)
    email = f"{nickname}@{domain}"
    database.add_person(email)
    database.get_person(email).opt_out = True
    database.session.commit()
    database.session.close()


def read_awards(uri: str) -> list[Award]:
    """Return all awards, the earliest first."""
    database = TahrirDatabase(uri)
    awards = [
        Award(
            assertion.person.nickname,
            assertion.badge.name,
            assertion.issued_on,
            _message_id(assertion.issued_for),
        )
        for assertion in database.get_all_assertions()
    ]
    database.session.close()
    return sorted(awards, key=lambda award: award.when)


def _message_id(link: str | None) -> str:
    return parse_qs(urlsplit(link or "").query).get("id", ["?"])[0]
