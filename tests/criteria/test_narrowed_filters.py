"""Filters by the fields of past messages, asked of databases."""

from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message, make_rule, make_settings
from support.databases import Databases

from fedbadges.criteria.datanommer import PastMessages, past_messages
from fedbadges.messages import Message
from fedbadges.rules.criteria import Question

START = 1_700_000_000.0


class Reviews:
    """A history of comments, each by ann, and a rule that counts some of them."""

    def __init__(self, databases: Databases, directory: Path, fields: str, more: str = "") -> None:
        settings = make_settings(databases, directory)
        body = f"""
trigger: {{topic: bodhi.comment}}
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(recipient)s"], fields: {fields}{more}}}
  operation: count
  condition: {{greater than: 100}}
recipient: "%(msg.by)s"
"""
        criterion = past_messages(make_rule(settings, "one", body).criteria)
        assert isinstance(criterion, PastMessages)
        self.criterion = criterion
        self.stored = 0

    def store(self, **msg: Any) -> Message:
        """Stores a comment, and returns the message."""
        self.stored += 1
        message = make_message(
            "bodhi.comment", {"by": "ann", **msg}, timestamp=START + self.stored * 60
        )
        self.position = self.criterion.history.record(message, ["ann"], [])
        return message

    def count(self, message: Message) -> int:
        """Counts ann's comments up to the one that was stored last."""
        value = self.criterion.value(Question(message, "ann", position=self.position))
        assert isinstance(value, int)
        return value


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("{msg.karma: {greater than: 0}}", 2),
        ("{msg.karma: 1, msg.to: bob}", 1),
        ("{msg.to: '%(msg.to)s'}", 2),
        ("{msg.to: {is not: '%(recipient)s'}}", 3),
        ("{msg.by: '%(recipient)s', msg.karma: {exists: true}}", 3),
        ("{msg.karma: {not: 0}}", 3),
        ("{topic: {ends with: .other}}", 0),
    ],
)
@pytest.mark.parametrize("more", ["", ", start: 1 day ago", ", page: 2, rows_per_page: 1"])
def test_fields_narrow_which_past_messages_count(
    fields: str, expected: int, more: str, database: Databases, tmp_path: Path
) -> None:
    reviews = Reviews(database, tmp_path, fields, more)
    reviews.store(karma=1, to="bob")
    reviews.store(karma=-1, to="ann")
    reviews.store(to="bob")
    message = reviews.store(karma=1, to="carol")
    if "%(msg.to)s" in fields:
        message = reviews.store(to="bob")
        expected += 1

    assert reviews.count(message) == expected


def test_what_is_stored_later_is_counted_on(database: Databases, tmp_path: Path) -> None:
    reviews = Reviews(database, tmp_path, "{msg.karma: {greater than: 0}}")
    counts = [reviews.count(reviews.store(karma=karma)) for karma in (1, 0, 1, 1)]

    assert counts == [1, 1, 2, 3]
