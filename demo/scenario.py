"""The scenario of the demo: its messages, and who must get which badge."""

from __future__ import annotations

from typing import Any, NamedTuple

FEDORA = "org.fedoraproject.prod."
PAGURE = "io.pagure.prod."

#: Opted out before the demo begins.
OPTED_OUT = "heidi"


class Message(NamedTuple):
    """A message to send: its topic, its content, and the account that sends it."""

    topic: str
    msg: dict[str, Any]
    username: str


def _said(user: str, text: str) -> Message:
    return Message(FEDORA + "logger.log", {"log": text}, user)


def _pushed(user: str | None, repo: str, insertions: int = 9, deletions: int = 2) -> Message:
    total = {"insertions": insertions, "deletions": deletions, "lines": insertions + deletions}
    commit = {"username": user, "repo": repo, "branch": "rawhide", "stats": {"total": total}}
    return Message(FEDORA + "git.receive", {"commit": commit}, "git")


def _requested(user: str, request: str, title: str) -> Message:
    update = {"title": title, "submitter": user, "request": request}
    return Message(
        FEDORA + f"bodhi.update.request.{request}", {"agent": user, "update": update}, "bodhi"
    )


def _commented(user: str, title: str, anonymous: bool = False) -> Message:
    comment = {"author": user, "karma": 1, "anonymous": anonymous, "update_title": title}
    return Message(FEDORA + "bodhi.update.comment", {"comment": comment}, "bodhi")


def _edited(user: str, title: str, minor: bool = False) -> Message:
    return Message(
        FEDORA + "wiki.article.edit",
        {"user": user, "title": title, "minor_edit": int(minor)},
        "apache",
    )


def _posted(user: str, title: str) -> Message:
    return Message(
        FEDORA + "planet.post.new", {"username": user, "post": {"title": title}}, "planet"
    )


def _approved(agent: str, user: str, group: str) -> Message:
    return Message(
        FEDORA + "fas.role.update",
        {"agent": agent, "user": user, "group": group, "status": "approved"},
        "fas",
    )


def _met(owner: str, lines: dict[str, int]) -> Message:
    return Message(
        FEDORA + "meetbot.meeting.complete",
        {"owner": owner, "channel": "#meeting", "attendees": lines},
        "zodbot",
    )


def _scheduled(agent: str, managers: list[str], topic: str = "meeting.new") -> Message:
    meeting = {"meeting_name": "Weekly", "meeting_manager": managers}
    return Message(FEDORA + f"fedocal.{topic}", {"agent": agent, "meeting": meeting}, "apache")


def _pushed_to_pagure(agent: str, *authors: str) -> Message:
    return Message(
        PAGURE + "pagure.git.receive",
        {"agent": agent, "authors": [{"name": name, "fullname": name} for name in authors]},
        "pagure",
    )


# The order matters in one respect: what keeps somebody from a badge comes before what would bring
# it.
STORY: list[Message] = [
    _said("alice", "good morning"),
    Message(FEDORA + "fas.user.create", {"agent": "frank", "user": "frank"}, "fas"),
    _commented("bob", "htop-3.4"),
    _edited("dave", "Welcome"),
    _edited("Carol", "Welcome"),  # MediaWiki writes names with a capital
    _pushed("alice", "kernel"),
    _pushed("koji", "kernel"),
    _said("heidi", "please leave me out"),
    _commented("bob", "htop-3.4", anonymous=True),
    _pushed("alice", "kernel"),
    _edited("dave", "Testing"),
    _edited("Carol", "Testing"),
    _approved("grace", "frank", "packager"),
    _pushed("koji", "kernel"),
    _requested("grace", "testing", "vim-9.1"),
    _commented("bob", "vim-9.1"),
    _edited("192.0.2.7", "Welcome"),
    _pushed("alice", "htop"),
    _edited("Carol", "Releases"),
    _edited("dave", "Typos", minor=True),
    _pushed("koji", "kernel"),
    _commented("grace", "htop-3.4"),
    _pushed("alice", "htop", insertions=1, deletions=40),
    _edited("192.0.2.7", "Testing"),
    _posted("erin", "On diaries"),
    _pushed("bob", "vim"),
    _edited("Carol", "Mentors"),
    _requested("grace", "stable", "vim-9.1"),
    _scheduled("grace", ["grace", "judy"]),
    _scheduled("ivan", ["ivan"], topic="meeting.reminder"),
    _pushed_to_pagure("ivan", "ivan", "judy"),
    _edited("192.0.2.7", "Releases"),
    _pushed("bob", "vim", insertions=3, deletions=50),
    _pushed("alice", "vim"),
    _edited("2001:db8::7", "Welcome"),
    _commented("grace", "vim-9.1"),
    _posted("dave", "A walk in the woods"),
    _pushed("heidi", "kernel"),
    _met("erin", {"erin": 12, "frank": 4, "judy": 7, "apache": 1}),
    _edited("Carol", "Mentors"),
    _pushed("bob", "htop", insertions=0, deletions=7),
    _requested("grace", "testing", "htop-3.5"),
    _edited("2001:db8::7", "Testing"),
    _pushed("heidi", "kernel"),
    _pushed("alice", "vim"),
    Message(FEDORA + "infragit.receive", {"commit": {"username": "frank"}}, "git"),
    Message(FEDORA + "infragit.receive", {"commit": {"username": "frank"}}, "git"),
    _approved("heidi", "frank", "docs"),
    _approved("frank", "frank", "docs"),
    _met("ivan", {"ivan": 3, "bob": 1}),
    _requested("alice", "testing", "kernel-7.0"),
    _edited("2001:db8::7", "Releases"),
    _pushed("alice", "kernel"),
    _pushed(None, "kernel"),
    _pushed_to_pagure("ivan", "ivan"),
    _posted("dave", "A walk by the sea"),
    _edited("Carol", "Releases"),
    _pushed("alice", "kernel"),
]

#: Everybody who must get something, and all of it.
EXPECTED: dict[str, set[str]] = {
    "alice": {
        "Hello Bus",
        "Gardener (Commits I)",
        "Gardener (Commits II)",
        "Gardener (Commits III)",
        "Wanderer",
        "Strong and Silent",
        "Bridge Builder",
        "Magpie (Badges I)",
        "Magpie (Badges II)",
    },
    "bob": {
        "Well Rounded",
        "Gardener (Commits I)",
        "Spring Cleaning",
        "Magpie (Badges I)",
    },
    "carol": {
        "Scribe (Wiki I)",
        "Scribe (Wiki II)",
        "Storyteller",
        "Magpie (Badges I)",
    },
    "dave": {"Storyteller"},
    "erin": {"Diarist", "Round Table"},
    "frank": {"Welcome Aboard", "Round Table"},
    "grace": {"Open Door", "Steady Hand", "Host", "Magpie (Badges I)"},
    "ivan": {"Patchwork"},
    "judy": {"Host", "Round Table"},
}

#: Some who must not get something, and why.
NEAR_MISSES: list[tuple[str, str, str]] = [
    ("bob", "Gardener (Commits II)", "three pushes of four"),
    ("bob", "Wanderer", "two repositories of three"),
    ("bob", "Strong and Silent", "commented on updates"),
    ("alice", "Spring Cleaning", "one such push of two"),
    ("grace", "Well Rounded", "two comments of three"),
    ("dave", "Scribe (Wiki I)", "the third edit was a minor one"),
    ("dave", "Diarist", "edited the wiki too often"),
    ("erin", "Magpie (Badges I)", "two badges of three"),
    ("frank", "Gardener (Commits I)", "pushed to infragit, which is not git"),
    ("frank", "Open Door", "let in nobody else"),
    ("ivan", "Host", "was only reminded of a meeting"),
    ("ivan", "Round Table", "a meeting of two"),
    ("judy", "Patchwork", "one push of two"),
    ("heidi", "Gardener (Commits I)", "opted out"),
    ("heidi", "Open Door", "opted out"),
    ("koji", "Gardener (Commits I)", "is a program"),
    ("apache", "Round Table", "is a program"),
    ("192.0.2.7", "Scribe (Wiki I)", "is an address, not a name"),
    ("2001:db8::7", "Scribe (Wiki I)", "is an address, not a name"),
]
