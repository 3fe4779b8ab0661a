"""``fedbadges diff``: two versions of a rule, over the same history."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.command_deployment import CommandDeployment, question
from support.databases import Databases
from support.tahrir import revoke
from tahrir_api.model import Person

from fedbadges.databases.connections import engine
from fedbadges.replay.comparing import RuleComparison
from fedbadges.replay.replay import Replay
from fedbadges.rules.loader import load_file
from fedbadges.tahrir.awarding import Award

NAMED = 'recipient: "%(msg.user)s"\n'
START = 1_400_000_000
DAY = 86_400


@pytest.fixture
def deployment(database: Databases, tmp_path: Path) -> CommandDeployment:
    """Return a deployment in which alice pushed five times, bob three times, and carol once."""
    deployment = CommandDeployment(database, tmp_path)
    times = itertools.count()
    for user in ("alice", "bob", "alice", "alice", "bob", "carol", "bob", "alice", "alice"):
        number = next(times)
        msg = {"user": user, "branch": "main" if number % 2 else "work"}
        sent = START + number * DAY
        deployment.store("git.receive", [user], msg, timestamp=sent, msg_id=f"m{number}")
    return deployment


def counting(condition: str, trigger: str = "topic: git.receive") -> str:
    return f"trigger: {{{trigger}}}\ncriteria: {question('%(topic)s', condition)}\n{NAMED}"


def at_least(number: int) -> str:
    return counting(f"{{greater than or equal to: {number}}}")


def version(deployment: CommandDeployment, name: str, body: str, badge: str = "pushes") -> Path:
    """Write a rule outside of the rules in force."""
    path = deployment.write(badge, body)
    return path.rename(deployment.directory / f"{name}.yml")


def compared(
    deployment: CommandDeployment, old: str | Path, new: str | Path, code: int = 1
) -> dict[str, Any]:
    done = deployment.call("diff", "--format", "json", old, new)
    assert (done.exit_code, done.stderr) == (code, "")
    return {each["badge"]: each for each in json.loads(done.stdout)["badges"]}


def users(badge: dict[str, Any]) -> dict[str, list[str]]:
    return {kind: [each["user"] for each in badge[kind]] for kind in ("gains", "loses", "moves")}


def test_a_higher_threshold_loses_some_and_moves_others(deployment: CommandDeployment) -> None:
    old, new = (version(deployment, f"v{n}", at_least(n)) for n in (3, 4))

    done = deployment.call("diff", old, new)

    assert (done.exit_code, done.stderr) == (1, "")
    topic = "org.fedoraproject.dev.git.receive"
    assert done.stdout.splitlines() == [
        f"pushes: 2 by {old}, 1 by {new}",
        f"  loses  bob    2014-05-19 16:53                      {topic} m6",
        f"  moves  alice  2014-05-16 16:53 to 2014-05-20 16:53  {topic} m7",
    ]


def test_json_has_what_each_version_awards(deployment: CommandDeployment) -> None:
    old, new = (version(deployment, f"v{n}", at_least(n)) for n in (4, 3))

    badge = compared(deployment, old, new)["pushes"]

    assert (badge["old"], badge["new"], badge["loses"]) == (1, 2, [])
    (gained,), (moved,) = badge["gains"], badge["moves"]
    assert gained == {
        "user": "bob",
        "old": None,
        "new": {
            "when": "2014-05-19T16:53:20Z",
            "topic": "org.fedoraproject.dev.git.receive",
            "msg_id": "m6",
        },
    }
    assert [moved["user"], moved["old"]["msg_id"], moved["new"]["msg_id"]] == ["alice", "m7", "m3"]


def test_the_same_rule_in_other_words_makes_no_difference(deployment: CommandDeployment) -> None:
    old = version(deployment, "old", at_least(3))
    new = version(deployment, "new", counting("{greater than: 2}"), "renamed")

    done = deployment.call("diff", old, new)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "renamed: 2 by both, and nobody differs\n"


def test_a_badge_in_force_is_compared_with_a_file(deployment: CommandDeployment) -> None:
    deployment.write("pushes", at_least(1))
    new = deployment.directory / "new.yml"
    text = (deployment.rules / "pushes.yml").read_text()
    new.write_text(text.replace("equal to: 1", "equal to: 2"))

    badge = compared(deployment, "pushes", new)["pushes"]

    assert users(badge) == {"gains": [], "loses": ["carol"], "moves": ["alice", "bob"]}


def test_badges_of_a_series_are_compared_by_their_ids(deployment: CommandDeployment) -> None:
    old = deployment.directory / "old.yml"
    old.write_text(f"""\
series: Pusher
badges:
- {{name: Pusher I, threshold: 1, description: d, image_url: https://example.org/1.png}}
- {{name: Pusher II, threshold: 4, description: d, image_url: https://example.org/2.png}}
creator: alice
discussion: https://example.org/ideas
trigger: {{topic: git.receive}}
criteria: {{filter: {{topics: ["%(topic)s"], users: ["%(recipient)s"]}}, operation: count}}
{NAMED}""")
    new = deployment.directory / "new.yml"
    new.write_text(old.read_text().replace("Pusher II, threshold: 4", "Pusher III, threshold: 3"))

    found = compared(deployment, old, new)

    assert {badge: users(each) for badge, each in found.items()} == {
        "pusher-i": {"gains": [], "loses": [], "moves": []},
        "pusher-ii": {"gains": [], "loses": ["alice"], "moves": []},
        "pusher-iii": {"gains": ["alice", "bob"], "loses": [], "moves": []},
    }


VERSIONS = [
    at_least(1),
    at_least(2),
    counting("{equal to: 2}"),
    counting("{less than: 2}"),
    f"trigger: {{topic: git.receive, fields: {{msg.branch: main}}}}\n{NAMED}",
    counting("{greater than: 0}", "topic: git.receive, fields: {msg.branch: main}"),
    counting("{greater than: 0}", "topic: no.such.topic"),
]


@pytest.mark.parametrize(("old", "new"), list(itertools.combinations(range(len(VERSIONS)), 2)))
@pytest.mark.sqlite
def test_both_versions_award_what_each_would_alone(
    deployment: CommandDeployment, old: int, new: int
) -> None:
    paths = [version(deployment, f"v{each}", VERSIONS[each]) for each in (old, new)]

    comparison = RuleComparison(deployment.settings)
    assert together(comparison, paths) == [alone(deployment, path) for path in paths]


def together(comparison: RuleComparison, paths: list[Path]) -> list[set[tuple[Any, ...]]]:
    """Return what each version awards when both are replayed."""
    found: list[set[tuple[Any, ...]]] = [set(), set()]
    for is_new, each in comparison.run(*(load_file(path, comparison.backends) for path in paths)):
        found[is_new].add((each.rule.badge.id, each.username, each.position))
    return found


def alone(deployment: CommandDeployment, path: Path) -> set[tuple[Any, ...]]:
    """Return what a version awards when it is replayed as by a preview."""
    replay = Replay(deployment.settings, deployment.tahrir)
    earned = replay.run(load_file(path, replay.backends))
    return {(each.rule.badge.id, each.username, each.position) for each in earned}


def test_who_opted_out_or_lost_the_badge_is_left_out_of_both(
    deployment: CommandDeployment,
) -> None:
    old, new = (version(deployment, f"v{n}", at_least(n)) for n in (3, 1))
    deployment.tahrir.award([Award("pushes", "bob"), Award("pushes", "carol")])
    revoke(deployment.tahrir, "pushes", "bob", for_good=True)
    with engine(deployment.settings.tahrir_url).begin() as connection:
        connection.execute(sa.update(Person).where(Person.nickname == "carol").values(opt_out=True))

    badge = compared(deployment, old, new)["pushes"]

    assert users(badge) == {"gains": [], "loses": [], "moves": ["alice"]}


def test_versions_may_ask_for_badges_that_people_hold(deployment: CommandDeployment) -> None:
    holds = "criteria: {tahrir: {holds: [pushes, other]}}\n"
    old = version(deployment, "old", holds, "both")
    new = version(deployment, "new", holds.replace(", other", ""), "both")
    deployment.write("pushes", at_least(1))
    deployment.tahrir.award([Award("pushes", "bob")])

    badge = compared(deployment, old, new)["both"]

    assert users(badge) == {"gains": ["bob"], "loses": [], "moves": []}


def test_the_limit_is_of_the_people_shown(deployment: CommandDeployment) -> None:
    old, new = (version(deployment, f"v{n}", at_least(n)) for n in (9, 1))

    done = deployment.call("diff", "--limit", "1", old, new)

    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [
        ["gains", "alice"],
        ["and", "2"],
    ]


def test_a_mistake_in_a_version_exits_with_2(deployment: CommandDeployment) -> None:
    old, new = (version(deployment, f"v{n}", at_least(n)) for n in (1, 2))
    new.write_text(new.read_text().replace("operation", "operatoin"))

    done = deployment.call("diff", old, new)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "did you mean 'operation'?" in done.stderr


def test_ctrl_c_exits_with_2_as_the_result_is_not_known(
    deployment: CommandDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    old, new = (version(deployment, f"v{n}", at_least(n)) for n in (1, 2))
    monkeypatch.setattr(Replay, "run", interrupted)

    done = deployment.call("diff", old, new)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("Stopped before the end of the history")
