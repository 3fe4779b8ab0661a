"""``fedbadges list`` and ``fedbadges show``."""

import datetime
import json
from pathlib import Path

import pytest
from support.command import fedbadges
from support.command_deployment import CommandDeployment
from support.databases import Databases

from fedbadges.tahrir.awarding import Award

RULE = """\
trigger:
  topic: git.receive
  fields: {msg.branch: main}
criteria:
  filter:
    topics: ["%(topic)s"]
    usernames: ["%(recipient)s"]
    fields: {msg.branch: main}
    start: 30 days ago
  operation: count
  condition: {greater than or equal to: 5}
recipient: {any: ["%(msg.user)s", "%(msg.agent)s"]}
except: "%(msg.owner)s"
series: Gardener
tags: [git, packaging]
"""
TRIGGER_ALONE = "trigger: {category: wiki}\n"
DAY = datetime.datetime(2024, 1, 1, 12)


@pytest.fixture
def deployment(database: Databases, tmp_path: Path) -> CommandDeployment:
    deployment = CommandDeployment(database, tmp_path)
    deployment.write("pusher", RULE)
    deployment.write("editor", TRIGGER_ALONE)
    return deployment


def award(deployment: CommandDeployment, number: int) -> None:
    """Award the badge to so many people, a day apart."""
    for day in range(number):
        when = DAY + datetime.timedelta(days=day)
        link = f"https://example.org/{day}"
        deployment.tahrir.award([Award("pusher", f"user-{day}", issued_on=when, link=link)])


def test_list_shows_the_rules_in_force(deployment: CommandDeployment) -> None:
    award(deployment, 3)

    done = deployment.call("list")

    assert (done.exit_code, done.stderr) == (0, "")
    assert [line.split(maxsplit=2)[:2] for line in done.stdout.splitlines()] == [
        ["Badge", "Holders"],
        ["editor", "0"],
        ["pusher", "3"],
    ]
    assert "wiki.*" in done.stdout
    assert 'count, fields {msg.branch: "main"}, greater than or equal to 5' in done.stdout


@pytest.mark.sqlite
def test_list_has_no_topics_of_a_badge_for_badges(deployment: CommandDeployment) -> None:
    deployment.write("both", "criteria: {tahrir: {holds: [pusher, editor]}}\n")

    first = deployment.call("list").stdout.splitlines()[1]

    assert first.split(maxsplit=3)[:3] == ["both", "0", "none"]


def test_list_as_json_has_each_rule(deployment: CommandDeployment) -> None:
    award(deployment, 2)

    editor, pusher = json.loads(deployment.call("list", "--format", "json").stdout)

    assert editor["criteria"] == ""
    assert pusher == {
        "badge": "pusher",
        "name": "pusher",
        "path": str(deployment.rules / "pusher.yml"),
        "topics": ["git.receive"],
        "criteria": 'count, fields {msg.branch: "main"}, greater than or equal to 5',
        "series": "Gardener",
        "tags": ["git", "packaging"],
        "holders": 2,
    }


def test_list_leaves_out_rules_with_mistakes_and_says_why(deployment: CommandDeployment) -> None:
    (deployment.rules / "bad.yml").write_text("name: Bad\n")

    done = deployment.call("list")

    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 3
    assert "bad.yml:1:1: missing key 'trigger' in a rule" in done.stderr


def test_list_and_show_work_without_a_tahrir(deployment: CommandDeployment) -> None:
    config = deployment.directory / "empty.py"
    config.write_text("config = {'endpoints': {}}")
    options = ("--config", config, "--rules", deployment.rules)

    listed, shown = fedbadges("list", *options), fedbadges("show", *options, "pusher")

    assert listed.stdout.splitlines()[1].split()[:2] == ["editor", "?"]
    assert shown.exit_code == 0
    assert "hold" not in shown.stdout


def test_show_has_the_rule_in_words(deployment: CommandDeployment) -> None:
    done = deployment.call("show", "pusher")

    assert (done.exit_code, done.stderr) == (0, "")
    title, description, rest = done.stdout.split("\n", 2)
    assert title == f"pusher  pusher  {deployment.rules}/pusher.yml:1:1"
    assert description
    assert (
        rest
        == """\
series: Gardener
tags: git, packaging

trigger
└── all
    ├── topic git.receive
    └── fields
        └── field msg.branch: "main"
criteria
└── datanommer count, fields {msg.branch: "main"}, greater than or equal to 5
    ├── topics: %(topic)s
    ├── users: %(recipient)s
    └── start: 30 days before the message
recipient: %(msg.user)s or else %(msg.agent)s, except %(msg.owner)s

Nobody holds it

"""
    )


def test_show_has_the_latest_holders_and_how_many_there_are(
    deployment: CommandDeployment,
) -> None:
    award(deployment, 5)

    done = deployment.call("show", "--limit", "2", "pusher")

    assert done.stdout.partition("\n5 people")[2].splitlines() == [
        " hold it, since 2024-01-01; the latest on 2024-01-05",
        "  2024-01-05 12:00  user-4  https://example.org/4",
        "  2024-01-04 12:00  user-3  https://example.org/3",
        "  and 3 more",
        "",
    ]


@pytest.mark.parametrize(
    ("page", "people"), [("1", ["user-4", "user-3"]), ("3", ["user-0"]), ("4", [])]
)
def test_show_pages_through_the_holders(
    deployment: CommandDeployment, page: str, people: list[str]
) -> None:
    award(deployment, 5)

    done = deployment.call("show", "--format", "json", "--limit", "2", "--page", page, "pusher")

    (shown,) = json.loads(done.stdout)
    assert [each["user"] for each in shown["people"]] == people
    assert shown["holders"] == 5
    assert (shown["since"], shown["latest"]) == ("2024-01-01T12:00:00Z", "2024-01-05T12:00:00Z")


def test_show_takes_a_file_that_is_not_in_force(
    deployment: CommandDeployment, tmp_path: Path
) -> None:
    path = tmp_path / "other.yml"
    path.write_text((deployment.rules / "editor.yml").read_text().replace("editor", "other"))

    done = deployment.call("show", path)

    assert done.exit_code == 0
    assert done.stdout.startswith(f"other  other  {path}:1:1\n")


def test_show_of_a_badge_without_a_rule_has_its_holders(deployment: CommandDeployment) -> None:
    award(deployment, 1)
    (deployment.rules / "pusher.yml").unlink()

    done = deployment.call("show", "pusher")

    assert done.exit_code == 0
    assert done.stdout.startswith("pusher  pusher  no rule\n")
    assert "1 person holds it" in done.stdout
    assert json.loads(deployment.call("show", "--format", "json", "pusher").stdout)[0]["people"]


def test_show_of_an_unknown_badge_exits_with_2(deployment: CommandDeployment) -> None:
    done = deployment.call("show", "pushr")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "'pushr' is neither a rule file nor the id of a badge; did you mean 'pusher'?\n"
    )


def test_show_cannot_control_a_terminal(deployment: CommandDeployment) -> None:
    when = DAY + datetime.timedelta(days=1)
    link = "https://example.org/\x1b[2J\n"
    deployment.tahrir.award([Award("pusher", "alice", issued_on=when, link=link)])

    done = deployment.call("show", "pusher")

    assert done.stdout.replace("\n", "").isprintable()
    assert "example.org/\\x1b[2J\\n" in done.stdout
