"""The rules in the cookbook of docs/rules.rst do what the page says of them."""

from pathlib import Path

import pytest
from support.documented import EXAMPLES, ROOT, completed
from support.rule_test_files import make_runner, run, write_suite

from fedbadges.ruletests.runner import RuleTestRunner

PAGE = ROOT / "docs/rules.rst"

#: A rule for one of the badges that another badge needs.
_PUSHER = """\
name: Pusher
description: You pushed.
creator: alice
discussion: https://badges.example.org/ideas
image_url: https://badges.example.org/image.png
trigger: {topic: git.receive}
recipient: "%(msg.user)s"
"""

#: All but one of those who may be the first hundred.
_FIRST = [f"user-{number}" for number in range(99)]
_ATTENDED = ", ".join(f"{name}: 1" for name in _FIRST)
_AWARDED = ", ".join(f"{name}: fragment" for name in _FIRST)

#: What stands above a rule in the cookbook, and tests of it.
TESTS = {
    "On three different days:": """\
messages:
  push: {topic: org.fedoraproject.prod.git.receive, msg: {commit: {username: "%(from)s"}}}
tests:
- name: three days bring it
  incoming:
  - {like: push, from: alice, count: 2, every: 1 day, awards: {}}
  - {like: push, from: alice, timestamp: 2024-01-03 01:00:00, awards: {alice: fragment}}
- name: many pushes on two days do not
  incoming:
  - {like: push, from: alice, count: 20, timestamp: 2024-01-02 01:00:00, awards: {}}
  - {like: push, from: alice, count: 20, timestamp: 2024-01-03 01:00:00, awards: {}}
- name: days of somebody else do not count
  past:
  - {like: push, from: bob, count: 5, every: 1 day}
  incoming:
  - {like: push, from: alice, awards: {}}
""",
    "On each of thirty days in a row:": """\
messages:
  edit: {topic: org.fedoraproject.prod.wiki.article.edit, msg: {user: "%(from)s"}}
tests:
- name: the thirtieth day brings it
  incoming:
  - {like: edit, from: alice, count: 29, every: 1 day, awards: {}}
  - {like: edit, from: alice, timestamp: 2024-01-30 15:00:00, awards: {alice: fragment}}
- name: a day without begins anew
  incoming:
  - {like: edit, from: alice, count: 29, every: 1 day, awards: {}}
  - {like: edit, from: alice, count: 29, every: 1 day, timestamp: 2024-01-31 15:00:00, awards: {}}
""",
    "Ten updates that others found good, each counted once:": """\
messages:
  good: &good
    topic: org.fedoraproject.prod.bodhi.update.complete.stable
    msg: {update: {title: "vim-%(number)s", submitter: "%(from)s", karma: 3}}
tests:
- name: the tenth brings it
  past:
  - {like: good, from: alice, count: 9}
  incoming:
  - {like: good, from: alice, msg: {update: {title: vim-99}}, awards: {alice: fragment}}
- name: the same update counts once
  past:
  - {like: good, from: alice, count: 9}
  incoming:
  - {like: good, from: alice, awards: {}}
- name: what nobody found good does not count
  past:
  - {like: good, from: alice, count: 9, msg: {update: {karma: 2}}}
  incoming:
  - {like: good, from: alice, msg: {update: {title: vim-99}}, awards: {}}
- name: updates of others do not count
  past:
  - {like: good, from: bob, usernames: [alice, bob], count: 20}
  incoming:
  - {like: good, from: alice, awards: {}}
""",
    "A review of somebody else's work:": """\
messages:
  review:
    topic: io.pagure.prod.pagure.pull-request.comment.added
    msg: {agent: "%(from)s", pullrequest: {user: {name: bob}}}
tests:
- name: one review brings it
  incoming:
  - {like: review, from: alice, awards: {alice: fragment}}
- name: a comment on one's own work does not
  incoming:
  - {like: review, from: bob, awards: {}}
""",
    "A year after the first message:": """\
messages:
  push: {topic: org.fedoraproject.prod.git.receive, msg: {agent: "%(from)s"}}
tests:
- name: the first message after a year brings it
  past:
  - {like: push, from: alice, timestamp: 366 days ago}
  incoming:
  - {like: push, from: alice, awards: {alice: fragment}}
- name: a message within the year does not
  past:
  - {like: push, from: alice, timestamp: 364 days ago}
  incoming:
  - {like: push, from: alice, awards: {}}
- name: others may have been there before
  past:
  - {like: push, from: bob, timestamp: 400 days ago}
  incoming:
  - {like: push, from: alice, awards: {}}
""",
    "together with the last of the three (`Badges for badges`_):": """\
rules: [rule.yml, pusher.yml]
messages:
  push: {topic: org.fedoraproject.prod.git.receive, msg: {user: "%(from)s"}}
holds: {alice: [reviewer, translator], bob: [reviewer]}
tests:
- name: the last of the three brings it
  incoming:
  - {like: push, from: alice, awards: {alice: [fragment, pusher]}}
- name: two of the three do not
  incoming:
  - {like: push, from: bob, awards: {bob: pusher}}
""",
    "The first hundred who attended (`The first hundred`_):": f"""\
messages:
  meeting: {{topic: org.fedoraproject.prod.meetbot.meeting.complete}}
tests:
- name: of the last message, only one more is among them
  incoming:
  - {{like: meeting, msg: {{meeting: flock, attendees: {{{_ATTENDED}}}}}, awards: {{{_AWARDED}}}}}
  - like: meeting
    msg: {{meeting: flock, attendees: {{bob: 3, alice: 1, user-1: 1}}}}
    awards: {{alice: fragment}}
  - {{like: meeting, msg: {{meeting: flock, attendees: {{carol: 1}}}}, awards: {{}}}}
- name: other meetings bring nothing
  incoming:
  - {{like: meeting, msg: {{meeting: board, attendees: {{alice: 1}}}}, awards: {{}}}}
""",
}


@pytest.fixture(scope="module")
def runner() -> RuleTestRunner:
    return make_runner()


@pytest.mark.parametrize("title", TESTS)
def test_rule_of_the_cookbook_does_what_it_is_for(
    runner: RuleTestRunner, tmp_path: Path, title: str
) -> None:
    line = PAGE.read_text().splitlines().index(title) + 1
    (rule,) = (each.text for each in EXAMPLES if (each.page, each.line) == (PAGE, line + 2))

    path = write_suite(tmp_path, TESTS[title], completed(rule).decode())
    (tmp_path / "pusher.yml").write_text(_PUSHER)

    assert run(runner, path) == []
