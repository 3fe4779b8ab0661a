"""``fedbadges convert``: rules of fedbadges 2.x in the language of this version."""

from pathlib import Path

import pytest
from support.command import fedbadges
from support.rule_text import METADATA

RULE = """\
trigger:  # what it is about
  all:
  - topic: git.receive
  - lambda: message.body["n"] > 0  # not empty
previous:
  # who did it
  filter:
    topics: [message.topic]
    users:
    - recipient  # alone
  operation:
    lambda: len({r.msg["repo"] for r in results})
# often enough
condition:
  greater than: 3  # four
recipient: message.body["user"]
"""
CONVERTED = """\
trigger:  # what it is about
  all:
  - topic: git.receive
  - fields:
      msg.n: {greater than: 0}  # not empty
criteria:
  # who did it
  filter:
    topics: ["%(topic)s"]
    users:
    - "%(recipient)s"  # alone
  operation:
    count distinct: msg.repo
  condition: {greater than: 3}
# often enough
  # four
recipient: "%(msg.user)s"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "rule.yml"
    found.write_text(METADATA + RULE)
    return found


def test_rule_is_written_anew_with_its_comments(path: Path) -> None:
    path.chmod(0o640)

    done = fedbadges("convert", path)

    assert done.exit_code == 0
    assert done.stdout == f"{path}: converted\n"
    assert path.read_text() == METADATA + CONVERTED
    assert path.stat().st_mode & 0o777 == 0o640
    assert fedbadges("check", path).exit_code == 0


def test_comment_before_a_condition_stays(path: Path) -> None:
    path.write_text((METADATA + RULE).replace("condition:\n", "condition:  # five\n"))

    assert fedbadges("convert", path).exit_code == 0
    expected = CONVERTED.replace("# often enough\n", "# often enough\n# five\n")
    assert path.read_text() == METADATA + expected


def test_rule_in_this_language_stays(path: Path) -> None:
    path.write_text(METADATA + CONVERTED)

    done = fedbadges("convert", path.parent)

    assert done.exit_code == 0
    assert done.stdout == ""
    assert path.read_text() == METADATA + CONVERTED


def test_difference_is_only_shown(path: Path) -> None:
    done = fedbadges("convert", "--diff", path)

    assert done.exit_code == 0
    assert '\n-recipient: message.body["user"]\n' in done.stdout
    assert '\n+recipient: "%(msg.user)s"\n' in done.stdout
    assert path.read_text() == METADATA + RULE


@pytest.mark.parametrize(
    ("right", "wrong", "place", "why"),
    [
        ('message.body["n"]', "message.url", "9:13", "a lambda over 'msg' has no 'message.url'"),
        (
            'message.body["n"] > 0',
            "message.body['n'] == '%(x)s'",
            "9:35",
            "'%(' begins a template in the other dialect",
        ),
        ("- recipient ", "- recipient + 'x'  ", "15:7", "a lambda over 'msg' has no 'recipient'"),
        ('r.msg["repo"]', "message.headers", "17:18", "no template has 'message'"),
        ('message.body["user"]', "message.groups", "21:12", "no template names these people"),
    ],
)  # fmt: skip
def test_rule_stays_that_means_something_else(
    path: Path, right: str, wrong: str, place: str, why: str
) -> None:
    text = (METADATA + RULE).replace(right, wrong, 1)
    path.write_text(text)

    done = fedbadges("convert", path)

    assert done.exit_code == 1
    assert done.stdout == f"{path}:{place}: stays: {why}\n"
    assert path.read_text() == text


def test_lambda_that_stays_is_named(path: Path) -> None:
    path.write_text((METADATA + RULE).replace('message.body["n"]', 'abs(message.body["n"])'))

    done = fedbadges("convert", path)

    assert done.exit_code == 0
    assert f"{path}:9:13: a lambda stays: " in done.stdout
    assert "- lambda: abs(msg['msg'][\"n\"]) > 0  # not empty\n" in path.read_text()


def test_mistakes_of_a_rule_are_reported(path: Path) -> None:
    path.write_text((METADATA + RULE).replace("message.topic", "message.topik"))

    done = fedbadges("convert", path)

    assert done.exit_code == 1
    assert f"{path}:13:14: a message has no 'topik'; did you mean 'topic'?" in done.stdout


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("recipient", 'users: "%(recipient)s"'),
        ("git.user", "users: [git.user]"),
        ("\"[recipient, message.body['a']]\"", 'users: ["%(recipient)s", "%(msg.a)s"]'),
        ("message.body['a'].lower()", "users: {lambda: 'msg[''msg''][''a''].lower()'}"),
        ("[\"'100%'\", message.agent_name]", 'users: [100%%, "%(agent)s"]'),
    ],
)
def test_value_of_a_filter_is_written_anew(path: Path, value: str, written: str) -> None:
    body = (
        f"trigger: {{topic: a.b}}\nprevious:\n  filter:\n    users: {value}\n  operation: count\n"
    )
    path.write_text(METADATA + body)

    assert fedbadges("convert", path).exit_code == 0

    assert f"    {written}\n" in path.read_text()


def test_all_that_has_no_counterpart_is_listed(path: Path) -> None:
    text = RULE.replace('message.body["n"]', "message.url").replace('body["user"]', "groups")
    path.write_text(METADATA + text)

    done = fedbadges("convert", path)

    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == [
        f"{path}:9:13",
        f"{path}:21:12",
    ]


def test_line_ends_stay(path: Path) -> None:
    path.write_bytes((METADATA + RULE).replace("\n", "\r\n").encode())

    assert fedbadges("convert", path).exit_code == 0

    assert path.read_bytes() == (METADATA + CONVERTED).replace("\n", "\r\n").encode()
