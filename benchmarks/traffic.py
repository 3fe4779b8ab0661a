"""Generates the traffic of a bus: kinds of messages, their frequency and their senders.

The kinds are those that the rules of Fedora and of ``rules/`` are about, and those that made most
of Fedora's traffic and concern no rule. The same seed gives the same messages.
"""

from __future__ import annotations

import itertools
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import contents
from contents import Made, Person

PREFIX = "org.fedoraproject.prod"

#: How many people cause the traffic, and how unevenly: the second half as much as the first, ….
PEOPLE = 2000
_ZIPF = 1.0

Maker = Callable[[random.Random, Person], Made]


class Kind(NamedTuple):
    """A kind of messages: its topic, its share of the traffic, and its content."""

    topic: str
    share: float
    make: Maker


class Draft(NamedTuple):
    """A message before it is sent."""

    topic: str
    msg: dict[str, Any]
    users: list[str]


class Traffic:
    """An endless stream of messages, which depends on the seed only."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._kinds = KINDS
        self._kind_weights = list(itertools.accumulate(kind.share for kind in KINDS))
        self._people = people()
        self._people_weights = list(
            itertools.accumulate(1 / (rank + 1) ** _ZIPF for rank in range(PEOPLE))
        )

    def drafts(self, count: int) -> Iterator[Draft]:
        """Return a number of messages."""
        choose = self._random.choices
        kinds = choose(self._kinds, cum_weights=self._kind_weights, k=count)
        names = choose(self._people, cum_weights=self._people_weights, k=2 * count)
        for number, kind in enumerate(kinds):
            person = Person(names[2 * number], names[2 * number + 1])
            yield draft(kind, self._random, person)

    def new_id(self) -> str:
        """Return a unique id of a message."""
        return f"2014-{uuid.UUID(int=self._random.getrandbits(128))}"


def people() -> list[str]:
    """Return the names of all people, the busiest first."""
    return [f"user{number:04d}" for number in range(PEOPLE)]


def draft(kind: Kind, chance: random.Random, person: Person) -> Draft:
    """Return one message of a kind."""
    msg, users = kind.make(chance, person)
    return Draft(
        kind.topic if kind.topic.startswith("io.") else f"{PREFIX}.{kind.topic}", msg, users
    )


def send(message: Draft, msg_id: str, when: float | None = None) -> dict[str, Any]:
    """Return a message as it is sent."""
    return {
        "topic": message.topic,
        "msg": message.msg,
        "msg_id": msg_id,
        "timestamp": time.time() if when is None else when,
        "i": 1,
        "username": message.users[0] if message.users else "apache",
    }


#: Shares are parts of 1000. What concerns no rule comes first.
KINDS = (
    Kind("buildsys.task.state.change", 200, contents.task),
    Kind("buildsys.tag", 120, contents.tag),
    Kind("buildsys.untag", 70, contents.tag),
    Kind("bugzilla.bug.update", 60, contents.bug),
    Kind("mailman.receive", 40, contents.mail),
    Kind("copr.build.start", 30, contents.copr),
    Kind("copr.chroot.start", 30, contents.copr),
    Kind("koschei.package.state.change", 30, contents.other),
    Kind("openqa.job.done", 30, contents.other),
    Kind("taskotron.result.new", 20, contents.other),
    Kind("buildsys.repo.done", 20, contents.repo),
    Kind("github.push", 10, contents.other),
    Kind("irc.karma", 5, contents.other),
    # What rules are about.
    Kind("buildsys.build.state.change", 90, contents.build),
    Kind("git.receive", 60, contents.git),
    Kind("copr.build.end", 40, contents.copr),
    Kind("bodhi.update.comment", 30, contents.update_comment),
    Kind("bodhi.update.request.testing", 20, contents.update_request),
    Kind("bodhi.update.request.stable", 12, contents.update_request),
    Kind("wiki.article.edit", 12, contents.wiki),
    Kind("fedoratagger.tag.update", 8, contents.tagger),
    Kind("fedoratagger.tag.create", 6, contents.tagger),
    Kind("fas.group.member.sponsor", 7, contents.sponsor),
    Kind("fas.user.update", 6, contents.fas_update),
    Kind("trac.ticket.update", 6, contents.trac_ticket),
    Kind("trac.git.receive", 6, contents.git),
    Kind("fedbadges.badge.award", 5, contents.badge_award),
    Kind("askbot.post.edit", 5, contents.askbot),
    Kind("pkgdb.acl.update", 5, contents.pkgdb),
    Kind("fas.role.update", 3, contents.role),
    Kind("meetbot.meeting.complete", 2, contents.meeting),
    Kind("pkgdb.owner.update", 2, contents.pkgdb),
    Kind("io.pagure.prod.pagure.git.receive", 2, contents.pagure_git),
    Kind("planet.post.new", 2, contents.post),
    Kind("trac.ticket.new", 1, contents.trac_ticket),
    Kind("pkgdb.package.new", 1, contents.pkgdb),
    Kind("fas.user.create", 1, contents.fas_create),
    Kind("bodhi.buildroot_override.tag", 1, contents.override),
    Kind("kerneltest.upload.new", 1, contents.kernel_test),
    Kind("fedocal.meeting.new", 1, contents.calendar),
    Kind("fedocal.meeting.update", 1, contents.calendar),
    Kind("fedbadges.person.login.first", 1, contents.badge_award),
    Kind("logger.log", 1, contents.log),
)
