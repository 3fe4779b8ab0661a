"""``check --fix`` over whole rules as people write them, in every layout that YAML allows."""

import pytest
from support.rule_text import PARSING

from fedbadges.lint.fixes.fixer import Fixer
from fedbadges.rules.loader import load_text

HEAD = """\
%YAML 1.2
---

name:           Rule {number}
description:    >
    Somebody did what
    this rule is about
creator:        alice
discussion:     https://badges.example.org/ideas/1
image_url:      https://badges.example.org/pngs/a.png
issuer_id:      example

"""

RULES = [
    # A list below its key, and a lambda over several lines
    """\
trigger:
    all:
      - category: bodhi
      - lambda: >-
            msg.get('msg', {}).get('comment', {}).get('karma') in [1, -1]
            and not msg.get('msg', {}).get('comment', {}).get('anonymous', False)
criteria:
    datanommer:
        filter:
            categories: [bodhi]
            users: ["%(msg.comment.author)s"]
            rows_per_page: 1000000000
        operation:
            lambda: len([m for m in query if 'new' in m.msg and m.msg['comment']['karma'] is -1])
        condition: {"greater than or equal to": 5}
recipient: "%(msg.comment.author)s"
""",
    # Quotes within quotes, and a comment behind
    """\
trigger:
  lambda: 'msg[''topic''].endswith(".pkgdb.acl.update") and msg["msg"]["acl"] != ''commit'''  # acl
criteria:
  all:
  - filter: {topics: ["%(topic)s"], usernames: ["%(recipient)s"]}
    operation: {lambda: "len(set([m.msg['package']['name'] for m in query.all()]))"}
    condition: {greater than: 3}
  - not:
      filter: {categories: [wiki], usernames: ["%(recipient)s"]}
      operation: {lambda: query.count()}
      condition: {is greater than: 10}
recipient: "%(msg.user)s"
""",
    # A lambda that begins with a quote, without others around it
    """\
trigger:
  any:
  - lambda: "translation" in msg['msg'].get('title', '')
  - all:
    - topic: wiki.article.edit
    - not:
        lambda: msg['msg']['summary'] is None or msg['msg']['summary'] == ''
criteria:
  datanommer:
    filter:
      topics:
        lambda: "[msg['topic']]"
      users:
        - "%(msg.user)s"

    operation:
      # the days
      lambda: "len({m.timestamp.date() for m in query})"
    condition:
      lambda: value > 6
recipient: "%(msg.user)s"
""",
    # All in braces
    """\
trigger: {all: [{topic: askbot.post.edit}, {lambda: "msg['msg']['post']['tags'][0] in ('a', 'b')"}]}
criteria: {
  filter: {users: {lambda: "msg['msg']['who']"}, topics: ["%(topic)s"]},
  operation: {lambda: "sum(m.msg['score'] for m in query if m.msg['score'] > 0)"},
  condition: {lambda: "value >= 100"}}
recipient: "%(msg.who)s"
""",
    # Several lambdas of one field, and one that others make needless
    """\
trigger:
  all:
  - topic: trac.ticket.update
  - lambda: msg['msg']['ticket']['status'] != 'new'
  - lambda: msg['msg'].get('ticket', {}).get('owner') is not None
  - lambda: msg['msg']['ticket'].get('owner') != msg['msg']['ticket'].get('reporter')
  - any:
    - lambda: any([msg['topic'].startswith(p) for p in ('org.example', 'org.fedoraproject')])
    - lambda: len(msg['msg']['ticket']['cc']) is not 0
criteria:
  datanommer:
    filter:
      topics: ["%(topic)s"]
      users: ["%(msg.ticket.reporter)s"]
    operation:
      lambda: max([m.msg['ticket']['id'] for m in query.all()])
    condition:
      equal to: 1000
recipient: "%(msg.ticket.reporter)s"
""",
]


@pytest.mark.parametrize("number", range(len(RULES)))
def test_no_lambda_is_left_and_no_other_line_changes(number: int) -> None:
    before = HEAD.format(number=number) + RULES[number]
    load_text(before.encode(), "rule.yml", PARSING)

    fixed = Fixer(PARSING).fix(before.encode(), "rule.yml")

    after = fixed.after.decode()
    assert fixed.left == ()
    assert "lambda" not in after
    load_text(fixed.after, "rule.yml", PARSING)
    lines = iter(after.splitlines())
    for line in before.splitlines():
        others = ("lambda", "msg.get(", "operation:", "topics:", "trigger: {", "criteria: {")
        if not any(each in line for each in others):
            assert line in lines, line
