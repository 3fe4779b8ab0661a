"""From RabbitMQ to the database and back, through a real ``fedora-messaging consume``."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import tahrir_messages
from datanommer.models import Message as Row
from named_messages import named
from support.broker import Broker, BrokerBus, needs_broker
from support.daemon import THIS_MESSAGE
from support.databases import Databases, Postgresql
from support.fm_consumer import FmDeployment
from support.hub import STOP_TIMEOUT
from support.metrics import metrics, status_of
from support.rules import counting_rule, rule
from support.waiting import eventually

from fedbadges.databases.connections import engine, parse_url

pytestmark = needs_broker

RULES = {
    "first": counting_rule("First Step", "logger.first", 1),
    "mentioned": rule("Mentioned", f"trigger: {{topic: logger.mention}}\n{THIS_MESSAGE}"),
    "editor": rule(
        "Editor",
        """
trigger:
  all:
    - topic: wiki.edit
    - lambda: msg['msg']['pages'] > 3 and msg['topic'].endswith('edit')
criteria:
  datanommer:
    filter: {topics: ["%(topic)s"], users: ["%(msg.user.name)s"], msg_id: "%(msg_id)s"}
    operation: count
    condition: {equal to: 1}
recipient: "%(msg.user.name)s"
""",
    ),
}


@pytest.fixture(scope="module")
def deployment(
    broker: Broker, postgresql: Postgresql, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FmDeployment]:
    """With one daemon, which all tests share."""
    bus = BrokerBus(broker)
    databases = postgresql.create_databases()
    with FmDeployment(tmp_path_factory.mktemp("fm"), databases, bus, RULES) as running:
        directory = running.directory
        running.settings["moksha.monitoring.socket"] = f"ipc://{directory}/monitoring.sock"
        running.settings["badges.metrics.address"] = f"{directory}/metrics.sock"
        daemon = running.start()
        yield running
        assert daemon.stop(signal.SIGTERM, STOP_TIMEOUT) == 0
        daemon.check_log()
        assert bus.waiting() == 0
    postgresql.drop_databases(databases)


def test_criteria_count_what_the_agent_of_the_schema_sent(deployment: FmDeployment) -> None:
    deployment.bus.publish(named("logger.first", {}, "alice"))

    deployment.wait_for_badge("alice", "first-step")


def test_metrics_are_served_beside_fedora_messaging_s_own_checks(deployment: FmDeployment) -> None:
    socket = deployment.directory / "metrics.sock"
    eventually(lambda: status_of(socket, "/ready") == 200, "ready")
    deployment.bus.publish(named("logger.first", {}, "zoe"))
    deployment.wait_for_badge("zoe", "first-step")

    assert status_of(socket, "/live") == 200
    assert metrics(socket)['fedbadges_messages_total{outcome="handled"}'] >= 1


def test_users_whom_the_schema_names_get_a_badge_without_recipient(
    deployment: FmDeployment,
) -> None:
    deployment.bus.publish(named("logger.mention", {}, "bob", "carol"))

    deployment.wait_for_badge("bob", "mentioned")
    deployment.wait_for_badge("carol", "mentioned")


def test_templates_and_lambdas_mean_what_they_meant_on_fedmsg(deployment: FmDeployment) -> None:
    for name, pages in (("dave", 3), ("erin", 4)):
        deployment.bus.publish(named("wiki.edit", {"user": {"name": name}, "pages": pages}, name))

    deployment.wait_for_badge("erin", "editor")
    assert deployment.badges("dave") == {}


def test_notices_are_published_as_messages_of_tahrir(deployment: FmDeployment) -> None:
    deployment.bus.publish(named("logger.mention", {}, "frank"))

    (award,) = eventually(lambda: deployment.bus.awards("frank"), "the award")
    (rank,) = eventually(
        lambda: deployment.bus.heard(
            "badges.person.rank.advance", lambda body: body["person"]["nickname"] == "frank"
        ),
        "the rank",
    )
    # Whatever comes has been validated.
    assert type(award) is tahrir_messages.BadgeAwardV1
    assert type(rank) is tahrir_messages.PersonRankAdvanceV1
    assert award.body["badge"]["badge_id"] == "mentioned"


def test_message_is_stored_as_datanommer_stores_it(deployment: FmDeployment) -> None:
    sent = named("logger.mention", {"a": 1}, "grace", test_packages="guake")
    deployment.bus.publish(sent)
    deployment.wait_for_badge("grace", "mentioned")

    columns = Row.__table__.c
    with engine(parse_url(deployment.databases.datanommer_url)).connect() as connection:
        row = connection.execute(sa.select(columns).where(columns.msg_id == sent.id)).one()
    assert (row.topic, row.msg) == ("org.fedoraproject.dev.logger.mention", {"a": 1})
    assert row.headers == sent._headers
    assert row.agent_name == "grace"
    assert f"{row.timestamp.isoformat()}+00:00" == sent._headers["sent-at"]


def test_award_by_hand_is_published_by_the_command(deployment: FmDeployment) -> None:
    (daemon,) = deployment.daemons
    command = ("award", "heidi", "mentioned", "--create", "--reason", "r")

    code, output = daemon.run("fedbadges", *command, "--config", str(daemon.settings_file))

    assert code == 0, output
    (award,) = eventually(lambda: deployment.bus.awards("heidi"), "the award")
    assert award.body["by_hand"]["reason"] == "r"


def test_status_shows_what_the_daemon_does(deployment: FmDeployment) -> None:
    (daemon,) = deployment.daemons

    code, output = daemon.run("fedbadges", "status", "--config", str(daemon.settings_file))

    assert code == 0, output
    assert "all is well" in output
    assert "not needed, as the broker delivers what was not handled" in output


def test_settings_with_mistakes_end_the_daemon_with_their_lines(
    sqlite_database: Databases, broker: Broker, tmp_path: Path
) -> None:
    with FmDeployment(tmp_path, sqlite_database, BrokerBus(broker), RULES) as broken:
        daemon = broken.make(reload=1)
        daemon.start()

        assert daemon.exit_code() == os.EX_CONFIG
        place = daemon.location_of("badges.reload")
        line = f"{place}:1: malformed key 'badges.reload'; expected True or False"
        assert daemon.lines_with(line)
        assert "Traceback" not in daemon.log()
