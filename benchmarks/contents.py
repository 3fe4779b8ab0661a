"""Generates the contents of messages, as the services of Fedora send them."""

import random
from typing import Any, NamedTuple

_TEXT = """
    update fix build rebuild package kernel release spec bump drop obsolete patch upstream version
    mass branch test python crash review license font desktop image server cloud docs translation
    merge revert initial import correct typo require provide conflict sources rawhide bug ticket
"""
_WORDS = _TEXT.split()


class Person(NamedTuple):
    """The sender of a message, and whom else it may concern."""

    name: str
    other: str


Made = tuple[dict[str, Any], list[str]]  # what it contains, and the users whom it concerns


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words))


def _package(chance: random.Random) -> str:
    return f"{chance.choice(_WORDS)}-{chance.choice(_WORDS)}"


def _commit(chance: random.Random, name: str) -> dict[str, Any]:
    insertions, deletions = chance.randrange(200), chance.randrange(150)
    stats = {"insertions": insertions, "deletions": deletions, "lines": insertions + deletions}
    package = _package(chance)
    return {
        "username": name,
        "name": name.capitalize(),
        "email": f"{name}@example.org",
        "rev": f"{chance.getrandbits(160):040x}",
        "repo": package,
        "branch": chance.choice(("master", "f20", "f19", "f18", "epel7")),
        "agent": name,
        "summary": _text(chance, 6),
        "message": _text(chance, 20),
        "path": f"/srv/git/{chance.choice(('docs', 'securityguide', 'releases', 'web'))}/{package}",
        "stats": {
            "files": {f"{package}.spec": stats, "sources": stats},
            "total": {**stats, "files": 2},
        },
    }


def git(chance: random.Random, person: Person) -> Made:
    return {"commit": _commit(chance, person.name)}, [person.name]


def pagure_git(chance: random.Random, person: Person) -> Made:
    names = sorted({person.name, person.other})
    return {
        "agent": person.name,
        "authors": [{"name": name, "fullname": name.capitalize()} for name in names],
        "branch": "master",
        "start_commit": f"{chance.getrandbits(160):040x}",
        "repo": {"name": _package(chance), "description": _text(chance, 15)},
        "total_commits": chance.randrange(1, 9),
    }, names


def build(chance: random.Random, person: Person) -> Made:
    package = _package(chance)
    return {
        "build_id": chance.randrange(10**6),
        "name": package,
        "version": f"{chance.randrange(9)}.{chance.randrange(30)}",
        "release": f"{chance.randrange(1, 9)}.fc20",
        "owner": person.name,
        "old": 0,
        "new": chance.choices((0, 1, 3, 4), cum_weights=(45, 85, 97, 100))[0],
        "attribute": "state",
        "instance": "primary",
        "task": {"id": chance.randrange(10**7), "request": [_text(chance, 12)], "arch": "noarch"},
    }, [person.name]


def task(chance: random.Random, person: Person) -> Made:
    children = [
        {
            "id": chance.randrange(10**7),
            "arch": arch,
            "method": "buildArch",
            "state": chance.choice(("CLOSED", "OPEN")),
            "host_id": chance.randrange(60),
            "weight": 1.5,
            "completion_time": None,
        }
        for arch in ("i686", "x86_64", "armv7hl", "noarch")
    ]
    return {
        "id": chance.randrange(10**7),
        "method": chance.choice(("buildArch", "tagBuild", "newRepo", "createrepo")),
        "srpm": f"{_package(chance)}-{chance.randrange(9)}.src.rpm",
        "owner": person.name,
        "old": "OPEN",
        "new": chance.choice(("CLOSED", "FAILED")),
        "instance": "primary",
        "info": {"children": children, "host": f"builder{chance.randrange(60)}", "label": "build"},
    }, [person.name]


def tag(chance: random.Random, person: Person) -> Made:
    return {
        "build_id": chance.randrange(10**6),
        "name": _package(chance),
        "tag": chance.choice(("f20-build", "f20-updates", "rawhide")),
        "tag_id": chance.randrange(500),
        "user": person.name,
        "owner": person.other,
        "version": f"{chance.randrange(9)}.{chance.randrange(30)}",
        "release": "1.fc20",
        "instance": "primary",
    }, sorted({person.name, person.other})


def repo(chance: random.Random, person: Person) -> Made:
    return {"tag": "f20-build", "tag_id": chance.randrange(500), "instance": "primary"}, []


def bug(chance: random.Random, person: Person) -> Made:
    return {
        "bug": {
            "bug_id": chance.randrange(10**6),
            "component": _package(chance),
            "summary": _text(chance, 12),
            "assigned_to": f"{person.other}@example.org",
            "status": chance.choice(("NEW", "ASSIGNED", "CLOSED")),
            "cc": [f"{person.name}@example.org", f"{person.other}@example.org"],
            "comment": _text(chance, 40),
        },
        "event": {"who": f"{person.name}@example.org", "what": "status"},
    }, [person.name]


def mail(chance: random.Random, person: Person) -> Made:
    return {
        "mlist": {"list_name": chance.choice(("devel", "test", "users")), "host": "example.org"},
        "msg": {
            "from": f"{person.name} <{person.name}@example.org>",
            "subject": _text(chance, 8),
            "message-id": f"<{chance.getrandbits(96):x}@example.org>",
            "references": [f"<{chance.getrandbits(96):x}@example.org>" for _ in range(4)],
            "body": _text(chance, 60),
        },
    }, [person.name]


def other(chance: random.Random, person: Person) -> Made:
    return {
        "agent": person.name,
        "name": _package(chance),
        "state": chance.choice(("ok", "failing", "unresolved")),
        "groups": [_text(chance, 2) for _ in range(3)],
        "detail": {"text": _text(chance, 30), "number": chance.randrange(10**6)},
    }, [person.name]


def copr(chance: random.Random, person: Person) -> Made:
    return {
        "build": chance.randrange(10**5),
        "chroot": chance.choice(("fedora-20-x86_64", "epel-7-x86_64")),
        "copr": _package(chance),
        "ip": f"172.16.{chance.randrange(255)}.{chance.randrange(255)}",
        "owner": person.name,
        "user": person.name,
        "pkg": _package(chance),
        "status": chance.choice((0, 1, 1, 1)),
        "version": "1.0",
        "what": _text(chance, 12),
        "who": "worker",
    }, [person.name]


def _update(chance: random.Random, submitter: str) -> dict[str, Any]:
    package = _package(chance)
    return {
        "title": f"{package}-{chance.randrange(9)}-1.fc20",
        "submitter": submitter,
        "bugs": [{"bug_id": chance.randrange(10**6)} for _ in range(chance.randrange(3))],
        "builds": [{"nvr": f"{package}-{chance.randrange(9)}-1.fc20"}],
        "notes": _text(chance, 25),
        "karma": chance.randrange(4),
        "release": {
            "id_prefix": chance.choice(("FEDORA", "FEDORA", "FEDORA-EPEL")),
            "name": "F20",
            "long_name": "Fedora 20",
        },
        "type": chance.choice(("bugfix", "enhancement", "security")),
    }


def update_request(chance: random.Random, person: Person) -> Made:
    return {"agent": person.name, "update": _update(chance, person.name)}, [person.name]


def update_comment(chance: random.Random, person: Person) -> Made:
    return {
        "agent": person.name,
        "comment": {
            "author": person.name,
            "anonymous": chance.random() < 0.1,
            "karma": chance.choice((-1, 0, 0, 1, 1, 1)),
            "text": _text(chance, 15),
            "timestamp": 1.4e9 + chance.randrange(10**7),
            "update_submitter": person.other,
            "update_title": f"{_package(chance)}-1-1.fc{chance.choice((19, 20))}",
        },
        "update": _update(chance, person.other),
    }, sorted({person.name, person.other})


def override(chance: random.Random, person: Person) -> Made:
    override = {"build": f"{_package(chance)}-1-1.fc20", "submitter": person.name}
    return {"agent": person.name, "override": override}, [person.name]


def wiki(chance: random.Random, person: Person) -> Made:
    title = chance.choice((f"Common F{chance.randrange(18, 23)} bugs", _text(chance, 3)))
    return {
        "title": title,
        "user": person.name,
        "minor_edit": chance.random() < 0.3,
        "summary": _text(chance, 8),
        "url": f"https://wiki.example.org/{title.replace(' ', '_')}",
        "revision": {"id": chance.randrange(10**6), "text": _text(chance, 10)},
    }, [person.name]


def tagger(chance: random.Random, person: Person) -> Made:
    return {
        "tag": {
            "label": chance.choice(_WORDS),
            "package": {"name": _package(chance), "summary": _text(chance, 8)},
            "votes": chance.randrange(9),
        },
        "user": {
            "username": person.name,
            "anonymous": chance.random() < 0.1,
            "rank": chance.randrange(99),
        },
        "vote": {"like": True},
    }, [person.name]


def askbot(chance: random.Random, person: Person) -> Made:
    return {
        "agent": person.name,
        "diff": _text(chance, 30),
        "thread": {"title": _text(chance, 8), "tagnames": chance.choices(_WORDS, k=3)},
        "topmost_post_id": chance.randrange(10**5),
    }, [person.name]


def sponsor(chance: random.Random, person: Person) -> Made:
    group = chance.choice(
        (
            "ambassadors",
            "cla_fpca",
            "cla_fpca",
            "gitfedora-web",
            "packager",
            "provenpackager",
            "sponsor",
            "sponsors",
            "sysadmin-badges",
            "sysadmin-main",
        )
    )
    user: object = {"username": person.name} if group == "sponsor" else person.name
    return {"agent": person.other, "group": group, "user": user}, sorted(
        {person.name, person.other}
    )


def fas_update(chance: random.Random, person: Person) -> Made:
    fields = ["status", "gpg_keyid", "password", "security_question", "timezone", "locale", "email"]
    return {
        "agent": person.name,
        "user": person.name,
        "fields": chance.sample(fields, chance.randrange(1, 4)),
    }, [person.name]


def fas_create(chance: random.Random, person: Person) -> Made:
    return {"agent": person.name, "user": person.name}, [person.name]


def role(chance: random.Random, person: Person) -> Made:
    return {
        "agent": person.name,
        "user": person.other,
        "group": chance.choice(_WORDS),
        "status": "approved",
    }, sorted({person.name, person.other})


def badge_award(chance: random.Random, person: Person) -> Made:
    return {
        "user": {"username": person.name, "badges_user_id": chance.randrange(9999)},
        "badge": {
            "badge_id": _package(chance),
            "name": _text(chance, 3),
            "description": _text(chance, 12),
            "image_url": "https://badges.example.org/pngs/one.png",
        },
    }, [person.name]


def trac_ticket(chance: random.Random, person: Person) -> Made:
    return {
        "agent": person.name,
        "instance": {
            "project_name": chance.choice(("fedora-badges", "Fedora Freemedia", "rel-eng")),
            "base_url": "/trac",
        },
        "old_values": {"status": "new"},
        "ticket": {
            "id": chance.randrange(9999),
            "status": chance.choice(("closed", "closed", "new")),
            "resolution": chance.choice(("fixed", "fixed", "invalid")),
            "summary": _text(chance, 9),
            "description": _text(chance, 35),
            "reporter": person.other,
        },
    }, [person.name]


def meeting(chance: random.Random, person: Person) -> Made:
    names = dict.fromkeys((person.name, person.other, "user0000"))
    attendees = {name: chance.randrange(1, 50) for name in names}
    return {
        "owner": person.name,
        "channel": chance.choice(("#fedora-classroom", "#fedora-townhall", "#fedora-meeting")),
        "attendees": attendees,
        "chairs": {person.name: attendees[person.name]},
        "meeting_name": _text(chance, 2),
        "topic": _text(chance, 5),
        "url": "https://meetbot.example.org/" + _text(chance, 1),
    }, sorted(attendees)


def calendar(chance: random.Random, person: Person) -> Made:
    return {
        "agent": person.name,
        "meeting": {
            "calendar_name": chance.choice(("vacation", "council")),
            "meeting_manager": [person.name],
            "meeting_name": _text(chance, 3),
            "meeting_information": _text(chance, 12),
        },
    }, [person.name]


def kernel_test(chance: random.Random, person: Person) -> Made:
    return {
        "agent": person.name,
        "test": {
            "authenticated": chance.random() < 0.8,
            "kernel_version": f"3.{chance.randrange(20)}.0",
            "tester": person.name,
            "result": "PASS",
        },
    }, [person.name]


def pkgdb(chance: random.Random, person: Person) -> Made:
    return {
        "agent": person.name,
        "username": person.other,
        "acl": chance.choice(("commit", "watchbugzilla")),
        "status": chance.choice(("Approved", "Obsolete")),
        "package_listing": {
            "point_of_contact": chance.choice((person.name, person.name, "orphan")),
            "package": {"name": _package(chance), "summary": _text(chance, 8)},
            "collection": {"branchname": "f20", "name": "Fedora"},
        },
    }, sorted({person.name, person.other})


def post(chance: random.Random, person: Person) -> Made:
    return {
        "username": person.name,
        "name": person.name.capitalize(),
        "post": {"title": _text(chance, 6), "summary": _text(chance, 60)},
    }, [person.name]


def log(chance: random.Random, person: Person) -> Made:
    return {"log": _text(chance, 6)}, [person.name]
