"""``fedbadges progress``: how far somebody is with every badge."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import statements
from support.command_deployment import CommandDeployment, question
from support.databases import Databases
from support.tahrir import revoke
from tahrir_api.model import Person

from fedbadges.criteria.backends import load_backends
from fedbadges.databases.connections import engine as database_engine
from fedbadges.engine import progress
from fedbadges.engine.explanation import Explainer, without_count_cache
from fedbadges.engine.progress import ProgressSearch
from fedbadges.rules.loader import load_directory
from fedbadges.tahrir.awarding import Award

NAMED = 'recipient: "%(msg.user)s"\n'
TRIGGER = "trigger: {{topic: {}}}\n"


def counting(topic: str, at_least: int) -> str:
    """Return a rule that counts somebody's messages of a topic."""
    condition = f"{{greater than or equal to: {at_least}}}"
    return f"{TRIGGER.format(topic)}criteria: {question('%(topic)s', condition)}\n{NAMED}"


def asking(criteria: str) -> str:
    """Return a rule with these criteria for those who push."""
    return f"{TRIGGER.format('git.receive')}criteria: {criteria}\n{NAMED}"


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> CommandDeployment:
    return CommandDeployment(sqlite_database, tmp_path)


@pytest.fixture
def any_deployment(database: Databases, tmp_path: Path) -> CommandDeployment:
    """Return the same on each kind of database, for tests of SQL."""
    return CommandDeployment(database, tmp_path)


def push(deployment: CommandDeployment, times: int, user: str = "alice", **envelope: Any) -> None:
    for _ in range(times):
        deployment.store("git.receive", [user], {"user": user}, **envelope)


def shown(deployment: CommandDeployment, *arguments: str) -> dict[str, str]:
    """Return what is printed of each badge, in its order."""
    done = deployment.call("progress", *(arguments or ("alice",)))
    assert done.exit_code == 0, done.stderr
    lines = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    return dict(lines)


def test_progress_lists_the_closest_badge_first(deployment: CommandDeployment) -> None:
    for name, rule in {
        "far": counting("git.receive", 50),
        "near": counting("git.receive", 5),
        "earned": counting("git.receive", 3),
        "other": counting("wiki.edit", 7),
        "got": counting("git.receive", 1),
    }.items():
        deployment.write(name, rule)
    deployment.tahrir.award([Award("got", "alice")])
    push(deployment, 4)
    push(deployment, 9, "bob")

    found = shown(deployment)

    assert found.pop("got").startswith("held since 20")
    assert list(found.items()) == [
        ("earned", "earned: run 'fedbadges backfill earned'"),
        ("near", "4 of 5"),
        ("far", "4 of 50"),
        ("other", "0 of 7"),
    ]


def test_progress_as_json_has_every_badge(deployment: CommandDeployment) -> None:
    deployment.write("near", counting("git.receive", 5))
    push(deployment, 1, msg_id="2014-1")

    done = deployment.call("progress", "--format", "json", "Alice")

    assert json.loads(done.stdout) == {
        "user": "Alice",
        "opted_out": False,
        "complete": True,
        "badges": [
            {
                "badge": "near",
                "name": "near",
                "series": None,
                "state": "counted",
                "count": 1,
                "needed": 5,
                "at_least": False,
                "since": None,
                "message": "2014-1",
                "revoked": None,
                "why": None,
            }
        ],
    }


def test_progress_shows_the_badges_of_a_series_together(deployment: CommandDeployment) -> None:
    deployment.write("near", counting("wiki.edit", 2))
    deployment.write("far", counting("git.receive", 1000))
    deployment.write_series("Gardener", "git.receive", [2, 5, 50])
    deployment.tahrir.award([Award("gardener-2", "alice")])
    push(deployment, 4)
    deployment.store("wiki.edit", ["alice"], {"user": "alice"})

    done = deployment.call("progress", "alice")

    assert re.sub(r" +", " ", re.sub(r"since.*", "", done.stdout)).splitlines() == [
        "Gardener",
        " gardener-2 held ",
        " gardener-5 4 of 5",
        " gardener-50 4 of 50",
        "near 1 of 2",
        "far 4 of 1000",
    ]
    found = json.loads(deployment.call("progress", "--format", "json", "alice").stdout)
    assert [each["series"] for each in found["badges"]] == ["Gardener"] * 3 + [None] * 2


def test_progress_asks_once_for_a_series(any_deployment: CommandDeployment) -> None:
    def questions() -> int:
        settings = without_count_cache(any_deployment.settings)
        with statements(settings.history_url) as sent:
            assert any_deployment.call("progress", "alice").exit_code == 0
        return len(sent)

    push(any_deployment, 4)
    any_deployment.write_series("Gardener", "git.receive", [10])
    one = questions()
    any_deployment.write_series("Gardener", "git.receive", [2, 5, 10, 50])

    assert questions() == one


def test_progress_of_somebody_who_opted_out(deployment: CommandDeployment) -> None:
    deployment.write("near", counting("git.receive", 5))
    deployment.write("got", counting("git.receive", 1))
    deployment.tahrir.award([Award("got", "alice")])
    with database_engine(deployment.settings.tahrir_url).begin() as connection:
        connection.execute(sa.update(Person).values(opt_out=True))
    push(deployment, 1)

    found = shown(deployment)

    assert found["near"] == "opted out"
    assert found["got"].startswith("held since 20")


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        (question("%(topic)s", "{less than: 1}"),
         "not countable: it depends on datanommer count, less than 1; the value is at least 2"),
        (question("%(topic)s", "{lambda: value > 5}"),
         "not countable: it depends on datanommer count, lambda: value > 5; the value is 2"),
        (question("%(msg.nobody)s", "{greater than: 1}"),
         "not countable: the message has no msg.nobody"),
        (question("%(topic)s", "{greater than: 3}", "len([m for m in query.all() if m.topic])"),
         "2 of 4"),
        (f"{{not: {question('%(topic)s', '{greater than: 1}')}}}",
         "not countable: not datanommer count, greater than 1"),
        (f"{{any: [{question('%(topic)s', '{greater than: 9}')},"
         f" {question('%(topic)s', '{greater than: 4}')}]}}",
         "2 of 5"),
        (f"{{all: [{question('%(topic)s', '{greater than: 1}')},"
         f" {question('%(topic)s', '{greater than: 4}')},"
         f" {question('x', '{greater than: 0}')}]}}",
         "2 of 5"),
    ],
)  # fmt: skip
def test_progress_shows_counts_or_why_there_are_none(
    deployment: CommandDeployment, criteria: str, said: str
) -> None:
    deployment.write("odd", asking(criteria))
    push(deployment, 2)

    assert shown(deployment)["odd"] == said


def test_progress_ignores_messages_that_trigger_nothing(deployment: CommandDeployment) -> None:
    """Without a message that triggers a rule, nothing is known of what the rule counts."""
    deployment.write(
        "odd", asking(question("%(topic)s", "{greater than: 1}")).replace("receive", "x")
    )
    deployment.write(
        "big",
        counting("git.receive", 3).replace(
            "topic: git.receive", "all: [{topic: git.receive}, {lambda: \"msg['msg']['big']\"}]"
        ),
    )
    deployment.write(
        "whole",
        asking(
            '{filter: {topics: ["git.y"]}, operation: count, condition: {greater than: 3}}'
        ).replace("receive", "y"),
    )
    push(deployment, 2)

    assert shown(deployment) == {"odd": "0 of 2", "big": "nothing yet", "whole": "nothing yet"}


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("len({m.msg['n'] for m in query.all()})", "0 of 5"),
        ("len([m for m in query.all() if m.msg['n']])", "0 of 5"),
        ("sum(m.msg['n'] for m in query)", "0 of 5"),
        ("max(m.msg['n'] for m in query)", "nothing yet"),
        ("max((m.msg['n'] for m in query), default=0)", "0 of 5"),
        ("any(m.msg['n'] for m in query)", "nothing yet"),
    ],
)
def test_progress_of_somebody_without_messages_begins_at_zero(
    deployment: CommandDeployment, operation: str, said: str
) -> None:
    criteria = (
        '{filter: {topics: ["%(topic)s"], users: ["%(msg.user)s"]}, '
        f'operation: {{lambda: "{operation}"}}, condition: {{greater than: 4}}}}'
    )
    deployment.write("odd", asking(criteria).replace("receive", "x"))
    push(deployment, 2)

    assert shown(deployment)["odd"] == said


def test_progress_uses_the_latest_message(deployment: CommandDeployment) -> None:
    deployment.write("seen", asking(question("%(msg.seen)s", "{greater than: 4}")))
    for day, topic in ((1, "a"), (3, "c"), (2, "b")):
        deployment.store(
            "git.receive",
            ["alice"],
            {"user": "alice", "seen": topic},
            msg_id=f"2014-{day}",
            timestamp=1_400_000_000 + day,
        )

    done = deployment.call("progress", "--format", "json", "alice")

    assert json.loads(done.stdout)["badges"][0]["message"] == "2014-3"


def test_progress_finds_a_rare_topic_behind_a_frequent_one(
    any_deployment: CommandDeployment,
) -> None:
    any_deployment.write("seldom", counting("wiki.edit", 2))
    any_deployment.write(
        "often", counting("git.receive", 500).replace("topic: git.receive", "category: git")
    )
    any_deployment.store("wiki.edit", ["alice"], {"user": "alice"}, timestamp=1_400_000_000)
    push(any_deployment, 120)

    assert shown(any_deployment) == {"seldom": "1 of 2", "often": "120 of 500"}


def test_progress_of_many_rules_needs_few_queries(any_deployment: CommandDeployment) -> None:
    for number in range(1, 31):
        any_deployment.write(f"rule-{number}", counting("git.receive", number))
    push(any_deployment, 10)
    settings = without_count_cache(any_deployment.settings)
    explainer = Explainer(
        settings, load_directory(any_deployment.rules, load_backends(settings)).rules
    )

    with statements(settings.history_url) as sent:
        search = ProgressSearch(settings, explainer, "alice")
        for batch in search.batches:
            search.read(batch)
        search.judge()

    assert len(search.progress()) == 30
    # Which messages, their bodies, their users; the user's number, and one count for the series.
    assert len(sent) <= 5


@pytest.mark.parametrize("form", ["text", "json"])
def test_progress_of_somebody_whom_nobody_knows_exits_with_1(
    deployment: CommandDeployment, form: str
) -> None:
    deployment.write("near", counting("git.receive", 5))

    done = deployment.call("progress", "--format", form, "[red]nobody[/red]")

    assert done.exit_code == 1
    assert done.stdout == "near  0 of 5\n" or json.loads(done.stdout)["badges"][0]["count"] == 0
    assert done.stderr == "neither datanommer nor tahrir knows '[red]nobody[/red]'\n"


@pytest.mark.parametrize("name", ["Alice", "bob", "CAROL"])
def test_progress_of_somebody_whom_one_database_knows_exits_with_0(
    deployment: CommandDeployment, name: str
) -> None:
    deployment.write("near", counting("git.receive", 5))
    deployment.write("got", counting("git.receive", 1))
    # Alice has sent a message that no rule is about, bob holds a badge that no rule gives any more,
    # and carol has opted out.
    deployment.store("wiki.edit", ["alice"])
    deployment.tahrir.award([Award("got", "bob"), Award("got", "carol")])
    (deployment.rules / "got.yml").unlink()
    with database_engine(deployment.settings.tahrir_url).begin() as connection:
        connection.execute(sa.update(Person).where(Person.nickname == "carol").values(opt_out=True))

    done = deployment.call("progress", name)

    assert (done.exit_code, done.stderr) == (0, "")


DAY = 86_400


def lately(condition: str) -> str:
    """Return a rule about somebody's pushes of the last 30 days."""
    return asking(question("%(topic)s", condition).replace("users:", "start: 30 days ago, users:"))


@pytest.mark.parametrize(
    ("days", "condition", "expected"),
    [
        ((60, 50, 40), "{greater than or equal to: 3}", "0 of 3"),
        ((60, 20, 10), "{greater than or equal to: 3}", "2 of 3"),
        ((20, 10, 5), "{greater than or equal to: 3}", "earned: run 'fedbadges backfill odd'"),
        ((60, 50, 40), "{less than: 1}", "earned: run 'fedbadges backfill odd'"),
    ],
)
def test_progress_judges_windows_as_of_now(
    any_deployment: CommandDeployment, days: tuple[int, ...], condition: str, expected: str
) -> None:
    any_deployment.write("odd", lately(condition))
    for ago in days:
        push(any_deployment, 1, timestamp=time.time() - ago * DAY)

    assert shown(any_deployment)["odd"] == expected


@pytest.mark.parametrize(
    "window",
    [
        "start: '%(timestamp)s'",
        "start: {lambda: \"msg['timestamp'] - 30 * 86400\"}",
        "end: 1 second ago, start: 30 days ago",
    ],
)
def test_progress_judges_windows_of_templates_and_lambdas_as_of_now(
    deployment: CommandDeployment, window: str
) -> None:
    criteria = question("%(topic)s", "{greater than: 0}").replace("users:", f"{window}, users:")
    deployment.write("odd", asking(criteria))
    push(deployment, 1, timestamp=time.time() - 40 * DAY)

    assert shown(deployment)["odd"] == "0 of 1"


def test_progress_as_json_shows_what_was_earned(deployment: CommandDeployment) -> None:
    deployment.write("near", counting("git.receive", 2))
    push(deployment, 2, timestamp=1_400_000_000)

    done = deployment.call("progress", "--format", "json", "alice")

    (badge,) = json.loads(done.stdout)["badges"]
    assert (badge["state"], badge["count"], badge["needed"]) == ("earned", 2, 2)


@pytest.mark.parametrize("name", ["", "a\x00", "a" * 300])
def test_progress_refuses_a_name_that_nobody_can_have(
    deployment: CommandDeployment, name: str
) -> None:
    done = deployment.call("progress", name)

    assert (done.exit_code, done.stderr) == (2, f"{name!r} is not a possible account name\n")


def test_progress_without_a_service_shows_what_it_can(deployment: CommandDeployment) -> None:
    deployment.configure(**{"libravatar.url": "http://127.0.0.1:9/avatar"})
    deployment.write("near", counting("git.receive", 5))
    deployment.write(
        "seen", asking("{libravatar: {exists: Yes}}").replace("git.receive", "wiki.edit")
    )
    push(deployment, 1)
    deployment.store("wiki.edit", ["alice"], {"user": "alice"})

    done = deployment.call("progress", "alice")

    assert done.exit_code == 2
    assert done.stdout == "near  1 of 5\nseen  not checked\n"
    assert done.stderr.startswith("Libravatar at http://127.0.0.1:9/avatar: ")


def test_progress_on_ctrl_c_shows_what_was_found(
    deployment: CommandDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.write("near", counting("git.receive", 5))
    deployment.write("got", counting("git.receive", 1))
    deployment.tahrir.award([Award("got", "alice")])
    push(deployment, 1)

    def interrupted(self: ProgressSearch, batch: object) -> Iterator[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.ProgressSearch, "read", interrupted)

    done = deployment.call("progress", "alice")

    assert done.exit_code == 2
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["near", "not"],
        ["got", "held"],
    ]
    assert done.stderr == "Stopped before all messages were read\n"


def test_progress_shows_what_was_revoked(any_deployment: CommandDeployment) -> None:
    later = time.time() + 3600
    for name in ("for-good", "until-then", "since", "fast"):
        any_deployment.write(name, counting(f"git.{name}", 1))
        any_deployment.tahrir.award([Award(name, "alice")])
        sent = {"timestamp": later} if name == "fast" else {}
        any_deployment.store(f"git.{name}", ["alice"], {"user": "alice"}, **sent)
        number = 4 if name == "fast" else None
        for_good = name == "for-good"
        revoke(any_deployment.tahrir, name, "alice", for_good=for_good, last_number=number)
    any_deployment.store("git.since", ["alice"], {"user": "alice"}, timestamp=later)

    found = shown(any_deployment)
    done = any_deployment.call("progress", "--format", "json", "alice")

    day = r"\d{4}-\d\d-\d\d"
    assert re.fullmatch(f"revoked for good on {day}", found["for-good"])
    again = "; the next message that earns it gives it again"
    assert re.fullmatch(f"revoked on {day}{again}", found["until-then"])
    assert re.fullmatch(f"revoked on {day}{again}", found["fast"])
    assert found["since"] == "earned: run 'fedbadges backfill since'"
    states = {each["badge"]: each for each in json.loads(done.stdout)["badges"]}
    assert states["for-good"]["state"] == states["until-then"]["state"] == "revoked"
    assert states["for-good"]["revoked"]["for_good"] is True
    assert states["since"]["revoked"] is None
