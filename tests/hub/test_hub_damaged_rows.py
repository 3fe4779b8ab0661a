"""Rows of datanommer that cannot be read, and a hub that was stopped meanwhile."""

import json
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.bus import fedmsg_body
from support.damage import store_damaged_rows
from support.databases import Databases, store_message
from support.deployment import run_deployment, start, stop
from support.rules import rule
from support.waiting import eventually

from fedbadges.databases.connections import engine

pytestmark = pytest.mark.slow

HELLO = rule(
    "Hello",
    """
trigger: {topic: test.hello}
criteria:
  filter: {msg_id: "%(msg_id)s"}
  operation: count
  condition: {greater than or equal to: 1}
recipient: "%(msg.user)s"
""",
)


def test_message_that_was_sent_while_no_hub_ran_is_handled_whatever_other_rows_hold(
    database: Databases, tmp_path: Path
) -> None:
    settings = {"badges.state_directory": str(tmp_path / "state"), "badges.sweep_interval": 1}
    with run_deployment(tmp_path / "hub", database, {"hello": HELLO}, settings) as deployment:
        for number in range(6):
            deployment.publish("test.hello", {"user": f"user{number}"})
            deployment.wait_for_badge(f"user{number}", "hello")
        checkpoint = tmp_path / "state" / "checkpoint"
        eventually(lambda: "number" in json.loads(checkpoint.read_text()), "a row number")
        stop(deployment.bus, deployment.hub)
        with engine(database.datanommer_url).begin() as connection:
            connection.execute(
                sa.text(
                    "UPDATE messages SET msg = 'not json' WHERE id ="
                    " (SELECT min(id) FROM messages WHERE topic LIKE '%hello')"
                )
            )
        damaged = store_damaged_rows(database)
        store_message(database, fedmsg_body("test.hello", {"user": "whiledown"}))
        slow = fedmsg_body("test.hello", {"user": "slowclock"}) | {"timestamp": time.time() - 1e5}
        store_message(database, slow)
        began = time.time()

        start(deployment.bus, deployment.hub)

        deployment.wait_for_badge("whiledown", "hello")
        deployment.wait_for_badge("slowclock", "hello")
        eventually(lambda: json.loads(checkpoint.read_text())["until"] > began, "a checkpoint")
        lines = deployment.hub.lines_with("Could not parse a message of the history, skipping it")
        assert len([line for line in lines if f" row={min(damaged)} " in line]) == 1
        assert len([line for line in lines if " row=1 " in line]) == 1
        assert not deployment.hub.lines_with("Cannot catch up")
