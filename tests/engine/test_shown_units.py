"""Values of operations without Python, as explain, progress and preview show them."""

from pathlib import Path

import pytest
from support.builders import make_message, make_rule, make_settings
from support.databases import Databases

from fedbadges.cli.explain.output import trees_of
from fedbadges.config.settings import Settings
from fedbadges.engine.explanation import Explainer
from fedbadges.engine.progress import ProgressSearch
from fedbadges.history.history import History
from fedbadges.replay.replay import Replay
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir

RULE = """
trigger: {{topic: git.receive}}
criteria:
  filter: {{topics: ["%(topic)s"], usernames: ["%(recipient)s"]}}
  operation: {}
  condition: {{greater than or equal to: {}}}
recipient: "%(msg.user)s"
"""
DAY = 86_400
START = 1_700_000_000.0
#: On which days something was sent, and which number that has.
SENT = ((0, 1), (3, 2), (4, 2))

SHOWN = [
    ("count", 5, "3 of 5", 3),
    ("count distinct days", 5, "3 of 5 days", 3),
    ("longest streak of days", 3, "2 of 3 days", 2),
    ("{count distinct: msg.n}", 7, "2 of 7", 2),
    ("{sum: msg.n}", 10, "5 of 10", 5),
    ("{largest: msg.n}", 10, "2 of 10", 2),
]


def load(settings: Settings, operation: str, needed: int) -> Rule:
    rule = make_rule(settings, "Committed", RULE.format(operation, needed))
    Tahrir(settings).publish_badges([rule.badge])
    return rule


@pytest.fixture
def settings(sqlite_database: Databases, tmp_path: Path) -> Settings:
    settings = make_settings(sqlite_database, tmp_path)
    for day, number in SENT:
        body = {"user": "alice", "n": number}
        message = make_message("git.receive", body, timestamp=START + day * DAY)
        History(settings).record(message, ["alice"], [])
    return settings


@pytest.mark.parametrize(("operation", "needed", "shown", "peak"), SHOWN)
def test_explain_progress_and_preview_show_the_same_value(
    settings: Settings, operation: str, needed: int, shown: str, peak: int
) -> None:
    rule = load(settings, operation, needed)
    explainer = Explainer(settings, [rule])
    latest = make_message("git.receive", {"user": "alice", "n": 2}, timestamp=START + 4 * DAY)

    explained = explainer.explain(latest, full=False)
    criteria = explained.rules[0].candidates[0].criteria
    assert criteria is not None
    tree = "\n".join(str(child.label) for child in _all(trees_of(explained, None, 0)))
    assert f"{shown}\n" in tree

    search = ProgressSearch(settings, explainer, "alice")
    for batch in search.batches:
        search.read(batch)
    search.judge()
    (progress,) = search.progress()
    assert str(progress.counted) == shown

    replay = Replay(settings, Tahrir(settings))
    for _ in replay.run([rule]):
        pass
    assert replay.peaks == {"committed": {"alice": peak}}


def test_somebody_of_whom_nothing_is_known_has_none_of_the_days(settings: Settings) -> None:
    rule = load(settings, "longest streak of days", 3)
    search = ProgressSearch(settings, Explainer(settings, [rule]), "bob")
    search.judge()
    (progress,) = search.progress()
    assert str(progress.counted) == "0 of 3 days"


def _all(trees):
    for tree in trees:
        yield tree
        yield from _all(tree.children)
