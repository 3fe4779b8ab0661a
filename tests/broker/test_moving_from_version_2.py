"""Moving from fedbadges 2.x: ``fedora-messaging consume`` with its callback and its keys.

The configuration is the one that docs/moving.rst shows, with the addresses of the test.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from named_messages import named
from support.broker import Broker, BrokerBus, needs_broker
from support.daemon import THIS_MESSAGE
from support.databases import Databases, Postgresql
from support.fasjson import Fasjson, User
from support.fm_consumer import FmConsumer, FmDeployment
from support.hub import LOGGING
from support.rules import rule
from support.toml import to_toml
from support.waiting import eventually

from fedbadges.config.values import has_fasjson_client

pytestmark = needs_broker

PAGE = (Path(__file__).parents[2] / "docs/moving.rst").read_text()
RULES = {
    "mentioned": rule("Mentioned", f"trigger: {{topic: logger.mention}}\n{THIS_MESSAGE}"),
    # In the dialect of 2.x.
    "editor": rule(
        "Editor",
        """
trigger:
  all:
  - topic: wiki.edit
  - lambda: message.body["pages"] > 3
previous:
  filter: {topics: [message.topic], users: [recipient]}
  operation: count
condition: {greater than or equal to: 2}
recipient: message.agent_name
""",
    ),
    # Nothing says in which dialect it is: in that of 2.x the agent gets it, nobody else.
    "busy": rule("Busy", "trigger: {topic: wiki.edit}\n"),
    "packager": rule("Packager", "trigger: {topic: nothing.happens}\n" + THIS_MESSAGE),
}


def example(bus: BrokerBus, databases: Databases, directory: Path, fasjson: str | None) -> str:
    """Return what the page shows, with the addresses of this test; FASJSON may be left out."""
    _, block = PAGE.split("both read it:\n\n.. code-block:: toml\n\n")
    text = textwrap.dedent(block[: block.index("\n\nThe keys in")])
    if fasjson is None:
        text = re.sub("fasjson_base_url = .*\n", "", text)
        text = text.partition("[[consumer_config.group_badges]]")[0]
    else:
        text = text.replace("https://fasjson.example.org", fasjson)
    for old, new in {
        "amqp://badges:PASSWORD@localhost/%2F": f"{bus.broker.url}?heartbeat=0",
        "postgresql://badges:PASSWORD@localhost/tahrir": databases.tahrir_url,
        "postgresql://badges:PASSWORD@localhost/datanommer": databases.datanommer_url,
        "/etc/badges": str(directory),
        "amq.topic": bus.exchange,
        "[queues.badges]": f"[queues.{bus.queue}]",
        'queue = "badges"': f'queue = "{bus.queue}"',
    }.items():
        assert old in text
        text = text.replace(old, new)
    # Nobody else stores messages here.
    more = {"badges.record_messages": True, "badges.rank_interval": 0.2}
    keys = "".join(f"{name} = {json.dumps(value)}\n" for name, value in more.items())
    text = text.replace(
        "[consumer_config]\n", f"[consumer_config]\nbadges.fasjson.auth = false\n{keys}"
    )
    return to_toml({"log_config": LOGGING}) + text


@pytest.fixture
def deployment(broker: Broker, postgresql: Postgresql, tmp_path: Path) -> Iterator[FmDeployment]:
    databases = postgresql.create_databases()
    bus = BrokerBus(broker, prefix="org.fedoraproject.prod")
    with FmDeployment(tmp_path, databases, bus, RULES) as made:
        yield made
    postgresql.drop_databases(databases)


def started(deployment: FmDeployment, fasjson: str | None = None) -> FmConsumer:
    """Return a daemon that runs with the configuration of the page."""
    daemon = deployment.make()
    text = example(deployment.bus, deployment.databases, deployment.directory, fasjson)
    daemon.settings_file.write_text(text)
    daemon.start()
    daemon.wait_until_started()
    return daemon


def test_daemon_with_a_configuration_of_2_x_awards_badges(deployment: FmDeployment) -> None:
    daemon = started(deployment)

    deployment.bus.publish(*(named("logger.mention", {}, name) for name in ("koji", "alice")))

    deployment.wait_for_badge("alice", "mentioned")
    eventually(lambda: deployment.bus.awards("alice"), "the notice")
    assert daemon.stop() == 0
    assert deployment.badges("koji") == {}
    daemon.check_log()


def test_rules_of_2_x_award_what_they_say(deployment: FmDeployment) -> None:
    daemon = started(deployment)

    for name, pages in (("alice", 2), ("alice", 4), ("bob", 9), ("carol", 1), ("carol", 1)):
        deployment.bus.publish(named("wiki.edit", {"pages": pages}, name, "dave"))

    # One after the other, so this is the last one.
    deployment.bus.publish(named("logger.mention", {}, "erin"))

    deployment.wait_for_badge("erin", "mentioned")
    assert daemon.stop() == 0
    # One edit is too few, and so are edits of few pages; and dave did none of them.
    assert [set(deployment.badges(name)) for name in ("alice", "bob", "carol", "dave")] == [
        {"busy", "editor"},
        {"busy"},
        {"busy"},
        set(),
    ]
    daemon.check_log()


def test_log_names_what_each_key_was_read_as(deployment: FmDeployment) -> None:
    daemon = started(deployment)

    (line,) = daemon.lines_with("Read the configuration of fedbadges 2")
    assert " INFO " in f" {line}"
    assert "badges_repo=badges.yaml.directory" in line
    assert "skip_users=badges.banned_usernames" in line
    (warning,) = daemon.lines_with("Questionable configuration")
    assert "'expiration_time' means nothing here" in warning


def test_mistake_in_a_key_of_2_x_ends_the_daemon_with_its_line(deployment: FmDeployment) -> None:
    daemon = deployment.make()
    text = example(deployment.bus, deployment.databases, deployment.directory, None)
    daemon.settings_file.write_text(text.replace('["bodhi", "koji"]', '"bodhi"'))
    daemon.start()

    assert daemon.exit_code() == 78
    number = next(
        number
        for number, line in enumerate(daemon.settings_file.read_text().splitlines(), 1)
        if line.startswith("skip_users")
    )
    mistake = "malformed key 'skip_users'; expected a list of names"
    assert daemon.lines_with(f"{daemon.settings_file}:{number}:1: {mistake}")


@pytest.fixture
def fasjson() -> Iterator[Fasjson]:
    member = User(groups=("packager",))
    service = Fasjson({"alice": member, "bob": User(), "koji": member}, {"packager"})
    yield service
    service.server.stop()


@pytest.mark.slow
@pytest.mark.skipif(not has_fasjson_client(), reason="make test-slow installs the extra fasjson")
def test_badges_of_groups_are_given_and_published_beside_the_daemon(
    deployment: FmDeployment, fasjson: Fasjson
) -> None:
    daemon = started(deployment, fasjson.url)

    code, output = daemon.run(
        *("fedbadges", "backfill", "--groups", "--config", str(daemon.settings_file))
    )

    assert code == 0, output
    assert "1 badge awarded to 1 person" in output
    eventually(lambda: deployment.bus.awards("alice"), "the notice")
    assert set(deployment.badges("alice")) == {"packager"}
    # Whom FASJSON does not know gets nothing by a message either.
    deployment.bus.publish(*(named("logger.mention", {}, name) for name in ("nobody", "bob")))
    deployment.wait_for_badge("bob", "mentioned")
    assert daemon.stop() == 0
    assert deployment.badges("nobody") == {}
