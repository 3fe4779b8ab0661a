"""Rules in the dialect of fedbadges 2.x, a history for them, and who gets their badges."""

from typing import Any, NamedTuple

from support.rules import rule

PREFIX = "org.fedoraproject.prod."


class Sent(NamedTuple):
    """A message: the first of its users did it."""

    topic: str
    body: dict[str, Any]
    users: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


def _comment(user: str, karma: int, owner: str, update: str) -> Sent:
    body = {
        "comment": {"karma": karma, "user": {"name": user}, "text": f"works for {user}"},
        "update": {"user": {"name": owner}, "alias": update},
    }
    return Sent("bodhi.update.comment", body, (user, owner))


def _build(owner: str, name: str, state: int) -> Sent:
    body = {"owner": owner, "name": name, "new": state}
    return Sent("buildsys.build.state.change", body, (owner,), (name,))


def _push(user: str, repo: str, branch: str, lines: int) -> Sent:
    body = {"commit": {"username": user, "repo": repo, "branch": branch, "stats": {"n": lines}}}
    return Sent("git.receive", body, (user,), (repo,))


HISTORY = [
    Sent("wiki.article.edit", {"title": "Fonts", "user": "alice"}, ("alice",)),
    Sent("wiki.article.edit", {"title": "Fonts", "user": "bob"}, ("bob",)),
    Sent("wiki.article.edit", {"title": "Talk:Fonts", "user": "alice"}, ("alice",)),
    Sent("wiki.article.edit", {"title": "Docs", "user": "alice"}, ("alice",)),
    _comment("alice", 1, "bob", "FEDORA-1"),
    _comment("bob", 1, "bob", "FEDORA-1"),
    _comment("alice", -1, "carol", "FEDORA-2"),
    _comment("alice", 1, "carol", "FEDORA-3"),
    _build("carol", "guake", 1),
    _build("carol", "guake", 3),
    _build("carol", "vim", 1),
    _build("bob", "vim", 1),
    _push("bob", "guake", "rawhide", 5),
    _push("bob", "guake", "f40", 7),
    _push("bob", "vim", "rawhide", 90),
    _push("alice", "vim", "f40", 3),
    Sent(
        "meetbot.meeting.complete",
        {"attendees": [{"name": "alice", "lines": 4}, {"name": "dave", "lines": 1}], "topic": "x"},
        ("alice", "dave"),
    ),
    Sent("meetbot.meeting.complete", {"attendees": [{"name": "erin", "lines": 2}]}, ("erin",)),
    Sent("fas.group.member.sponsor", {"group": "packager", "user": "dave"}, ("erin", "dave")),
    Sent("fas.group.member.sponsor", {"group": "docs", "user": "alice"}, ("erin", "alice")),
    Sent("planet.post.new", {"username": "Frank", "post": {"title": "Hello"}}, ("frank",)),
    Sent("pagure.issue.new", {"issue": {"user": {"name": "dave"}, "tags": ["easyfix"]}}, ("dave",)),
    Sent("pagure.issue.new", {"issue": {"user": {"name": "erin"}, "tags": []}}, ("erin",)),
    Sent("copr.build.end", {"user": "carol", "owner": "carol@example.org", "status": 1}, ("bob",)),
]
"""What the rules are about."""

_TEXTS = {
    # Whoever does something for the first time: the agent is the recipient.
    "editor": (
        """
trigger:
  topic: wiki.article.edit
previous:
  filter:
    topics:
    - message.topic
    users:
    - recipient
  operation: count
condition:
  greater than or equal to: 2
""",
        {"alice"},
    ),
    # Without 'previous', and with a literal category beside a lambda.
    "talker": (
        """
trigger:
  all:
  - category: wiki
  - lambda: message.body["title"].startswith("Talk:")
recipient: message.agent_name
""",
        {"alice"},
    ),
    "karma": (
        """
trigger:
  topic: bodhi.update.comment
previous:
  filter:
    topics:
    - message.topic
    users:
    - message.body["comment"]["user"]["name"]
  operation:
    lambda: |
      len([r for r in results
           if r.msg["comment"]["karma"] == 1
           and r.msg["comment"]["user"]["name"] == message.body["comment"]["user"]["name"]])
condition:
  greater than or equal to: 2
recipient: message.body["comment"]["user"]["name"]
""",
        {"alice"},
    ),
    "critic": (
        """
trigger:
  all:
  - topic: bodhi.update.comment
  - lambda: message.body["comment"]["karma"] < 0
  - lambda: message.body["comment"]["user"]["name"] != message.body["update"]["user"]["name"]
recipient: message.body['comment']['user']['name']
""",
        {"alice"},
    ),
    "owner": (
        """
trigger:
  topic: bodhi.update.comment
previous:
  filter:
    topics: [org.fedoraproject.prod.bodhi.update.comment]
    users: [recipient]
  operation:
    lambda: len({r.msg["update"]["alias"] for r in results})
condition:
  greater than: 1
recipient: message.body["update"]["user"]["name"]
""",
        {"carol"},
    ),
    "builder": (
        """
trigger:
  all:
  - topic: buildsys.build.state.change
  - lambda: message.body["new"] == 1
previous:
  filter:
    topics: [message.topic]
    packages: message.packages
  operation: count
condition:
  greater than or equal to: 2
recipient: message.body["owner"]
""",
        {"bob"},
    ),
    "packager": (
        """
trigger:
  topic: buildsys.build.state.change
previous:
  filter:
    categories: [buildsys]
    agents: [recipient]
  operation:
    lambda: len(set(r.msg["name"] for r in results if r.msg["new"] == 1))
condition:
  equal to: 2
""",
        {"carol"},
    ),
    "pusher": (
        """
trigger:
  topic: git.receive
previous:
  filter:
    topics: ["message.topic"]
    users:
    - message.body["commit"]["username"]
  operation:
    lambda: sum(r.msg["commit"]["stats"]["n"] for r in results)
condition:
  greater than or equal to: 100
recipient: message.body["commit"]["username"]
""",
        {"bob"},
    ),
    "same branch": (
        """
trigger:
  topic: git.receive
previous:
  filter:
    topics:
    - message.topic
    users:
    - recipient
  operation:
    lambda: sum(1 for r in results if r.msg["commit"]["branch"] == message.body["commit"]["branch"])
condition:
  is: 2
recipient: message.body["commit"]["username"]
""".replace("is: 2", "is equal to: 2"),
        {"bob"},
    ),
    "attendee": (
        """
trigger:
  all:
  - topic: meetbot.meeting.complete
  - lambda: len(message.body["attendees"]) > 1
previous:
  filter:
    topics:
    - message.topic
    users:
    - recipient
  operation: count
recipient: "[person['name'] for person in message.body['attendees']]"
""",
        {"alice", "dave"},
    ),
    "attended": (
        """
trigger:
  topic: meetbot.meeting.complete
recipient: message.usernames
""",
        {"alice", "dave", "erin"},
    ),
    "sponsored": (
        """
trigger:
  all:
  - topic: fas.group.member.sponsor
  - lambda: message.body["group"] in ["packager", "provenpackager"]
previous:
  filter:
    msg_id: message.id
  operation: count
condition:
  equal to: 1
recipient: message.body["user"]
""",
        {"dave"},
    ),
    "blogger": (
        """
trigger:
  topic: planet.post.new
previous:
  filter:
    topics:
    - '"org.fedoraproject.prod.planet.post." + message.body["post"].get("kind", "new")'
    users: message.body["username"].lower()
  operation:
    lambda: len([r for r in results if r.topic == message.topic])
recipient: message.body["username"]
""",
        {"frank"},
    ),
    "easy": (
        """
trigger:
  all:
  - topic: pagure.issue.new
  - lambda: '"easyfix" in message.body["issue"]["tags"]'
recipient: message.body["issue"]["user"]["name"]
""",
        {"dave"},
    ),
    "copr": (
        """
trigger:
  all:
  - topic: copr.build.end
  - lambda: message.body.get("status") == 1 and message.agent_name != message.body["user"]
previous:
  filter:
    topics: [message.topic]
    not_users: [recipient]
    start: 10 days ago
    rows_per_page: 100
  operation:
    lambda: len(results)
recipient: message.body["owner"]
recipient_email2fas: Yes
""",
        {"carol"},
    ),
    "impossible": (
        """
trigger:
  topic: planet.post.new
condition:
  greater than: 1
""",
        set(),
    ),
}

TEXTS = {name: rule(name, text) for name, (text, _) in _TEXTS.items()}
"""Whole rules by their names, which are the ids of their badges but for blanks."""

EXPECTED = {(name.replace(" ", "-"), user) for name, (_, users) in _TEXTS.items() for user in users}
"""The badges and who gets them, over the whole history."""
