"""Rows that cannot be read stop no replay, and count as the daemon counts them."""

from pathlib import Path

from support.builders import make_settings
from support.daemon_restarts import FIRST, sent, store_message
from support.damage import store_damaged_rows
from support.databases import Databases
from support.rules import only_rule

from fedbadges.replay.replay import Replay
from fedbadges.tahrir.database import Tahrir


def test_damaged_rows_stop_no_replay_and_earn_nothing(database: Databases, tmp_path: Path) -> None:
    settings = make_settings(database, tmp_path)
    store_message(database, sent("alice", 70))
    store_damaged_rows(database)
    store_message(database, sent("bob", 50))
    replay = Replay(settings, Tahrir(settings))
    distinct = "len({message.msg['user'] for message in query.all()})"
    counting = FIRST.replace("First", "Second").replace(
        'filter: {topics: ["%(topic)s"], users: ["%(msg.user)s"]}\n    operation: count',
        f'filter: {{topics: ["%(topic)s"]}}\n    operation: {{lambda: "{distinct}"}}',
    )
    rules = [
        only_rule(text.encode(), f"{name}.yml", replay.backends)
        for name, text in (("first", FIRST), ("second", counting))
    ]

    earned = {(each.rule.badge.id, each.username) for each in replay.run(rules)}

    assert {("first", "alice"), ("first", "bob"), ("second", "alice"), ("second", "bob")} <= earned
    assert {name for _, name in earned} <= {"alice", "bob", "damaged"}
