"""What rules read of messages and of the history, and where they say so."""

import pytest
from support.rule_text import load

from fedbadges.criteria.reading import paths_read, unstored_names

READING = """\
trigger: {topic: bodhi.update.stable}
criteria:
  any:
  - not:
      filter: {topics: ["%(topic)s"], not_users: ["%(recipient)s", "%(msg.bot)s"]}
      operation: {lambda: "len([m for m in query if m.msg['a'] == %(msg.a)s])"}
      condition: {greater than: 1}
  - filter: {packages: "%(msg.packages)s", start: "%(msg.since)s"}
    operation: count
    condition: {greater than: 1}
recipient: "%(msg.first)s-%(msg.last)s"
"""


def test_every_path_that_a_rule_reads_has_its_part_and_its_place() -> None:
    found = [(read.part, read.path.dotted, str(read.place)) for read in paths_read(load(READING))]

    assert found == [
        ("recipient", "msg.first", "rule.yml:11:13"),
        ("recipient", "msg.last", "rule.yml:11:27"),
        ("filter", "topic", "rule.yml:5:26"),
        ("filter", "msg.bot", "rule.yml:5:69"),
        ("operation", "msg.a", "rule.yml:6:67"),
        ("filter", "msg.packages", "rule.yml:8:25"),
        ("filter", "msg.since", "rule.yml:8:52"),
    ]


def names(trigger: str, chosen: str) -> list[str]:
    """Return what a filter asks for that is stored with a plugin only."""
    rule = load(
        f"trigger: {trigger}\n"
        f"criteria: {{filter: {{{chosen}}}, operation: count, condition: {{greater than: 0}}}}\n"
    )
    return [kind for kind, _ in unstored_names(rule)]


@pytest.mark.parametrize(
    ("trigger", "chosen", "expected"),
    [
        ("{topic: git.receive}", 'users: ["%(recipient)s"]', ["users"]),
        ("{topic: git.receive}", 'usernames: ["%(recipient)s"]', ["users"]),
        ("{topic: git.receive}", 'not_usernames: "%(msg.users)s"', ["users"]),
        ("{topic: git.receive}", "not_agents: [bot]", ["agents"]),
        ("{topic: git.receive}", "packages: {lambda: \"msg['p']\"}", ["packages"]),
        ("{topic: git.receive}", "users: [a], packages: [b]", ["users", "packages"]),
        ("{topic: git.receive}", 'topics: ["%(topic)s"]', []),
        ("{lambda: 'True'}", "users: [a]", ["users"]),
        ("{topic: logger.log}", "users: [a], packages: [b]", ["packages"]),
        ("{topic: logger.log}", 'topics: ["%(topic)s"], users: [a]', []),
        ("{category: announce}", "agents: [a]", []),
        ("{topic: git.receive}", "topics: [org.example.prod.logger.log], users: [a]", []),
        ("{topic: logger.log}", "topics: [org.example.prod.git.receive], users: [a]", ["users"]),
        ("{topic: logger.log}", "categories: [git], not_users: [a]", ["users"]),
    ],
)
def test_names_that_are_stored_with_a_plugin_only(
    trigger: str, chosen: str, expected: list[str]
) -> None:
    assert names(trigger, chosen) == expected
