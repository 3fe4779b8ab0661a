"""The deployment that docs/rule-authors.rst works in."""

import datetime
import json
import shutil
from pathlib import Path

from support.bus import fedmsg_body
from support.databases import Databases, sqlite_databases, store_message, tahrir

EXAMPLES = Path(__file__).parents[2] / "docs/examples/authors"
EDITED = datetime.datetime(2014, 10, 3, tzinfo=datetime.timezone.utc)
EDITORS = {"alice": 124, "bob": 103, "carol": 61, "dave": 27, "erin": 8, "frank": 6, "grace": 3}
EDITORS |= {"heidi": 2, "ivan": 1, "judy": 1, "mallory": 1, "trent": 1}
"""How many edits of the wiki each made, every third day until the same day."""


def deployment_of_authors(directory: Path) -> Path:
    """Create a directory with the rules of the examples and old messages, and return it."""
    shutil.copytree(EXAMPLES, directory)
    databases = sqlite_databases(directory)
    _store_edits_of_nora(databases, json.loads((directory / "messages/edit.json").read_text()))
    for name, edits in EDITORS.items():
        for number in range(edits):
            sent = EDITED - datetime.timedelta(days=3 * number)
            message = fedmsg_body("", {"user": name, "minor": 0})
            message |= {
                "topic": "org.fedoraproject.prod.wiki.article.edit",
                "timestamp": sent.timestamp(),
                "msg_id": f"{sent:%Y}-{name}-{number}",
            }
            store_message(databases, message, [name])
    return directory


def _store_edits_of_nora(databases: Databases, edit: dict) -> None:
    """Store an edit, and those before it; the first gave her a badge."""
    for hours in range(36):
        earlier = {"msg_id": f"2014-{hours}", "timestamp": edit["timestamp"] - 3600 * (hours + 1)}
        store_message(databases, edit | earlier, ["nora"])
    store_message(databases, edit, ["nora"])
    with tahrir(databases) as database:
        issuer = database.add_issuer("https://badges.example.org", "Example", "Example", "a@b.c")
        database.add_badge("First Edit", "i.png", "You edited the wiki.", "c", issuer)
        email = "nora@fedoraproject.org"
        database.add_person(email=email, nickname="nora")
        database.add_assertion("first-edit", email, datetime.datetime(2014, 9, 20), None)
