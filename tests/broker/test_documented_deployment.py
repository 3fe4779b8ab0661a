"""The steps of docs/brokers.rst: its commands at the broker, and the example configuration."""

import contextlib
import re
import shlex
import textwrap
from pathlib import Path

import pika
import pika.exceptions
import pytest
from named_messages import named
from support.broker import Broker, BrokerBus, needs_broker
from support.daemon import THIS_MESSAGE
from support.databases import Databases, Postgresql
from support.fm_consumer import FmDeployment
from support.rules import rule
from support.stomp_hub import (
    VIRTUAL_HOST,
    StompBus,
    StompDeployment,
    names,
    rules_of,
)
from support.waiting import eventually

pytestmark = [needs_broker, pytest.mark.slow, pytest.mark.started]

ROOT = Path(__file__).parents[2]
RULES = {"mentioned": rule("Mentioned", f"trigger: {{topic: logger.mention}}\n{THIS_MESSAGE}")}


PAGE, _, STOMP_SECTION = (ROOT / "docs/brokers.rst").read_text().partition("\nfedmsg by STOMP\n---")


def documented_commands(text: str) -> list[list[str]]:
    """Return the arguments of each ``rabbitmqctl`` that a text shows."""
    return [shlex.split(line) for line in re.findall(r"# rabbitmqctl (.*)", text)]


def documented_statements() -> list[str]:
    """Return what the page has ``psql`` do."""
    return [shlex.split(line)[-1] for line in re.findall(r"# sudo -u postgres psql (-c .*)", PAGE)]


def shown(language: str) -> str:
    """Return what the section on STOMP shows in a language."""
    (_, block) = STOMP_SECTION.split(f".. code-block:: {language}\n\n")
    return textwrap.dedent(re.split(r"\n\n   \S", f"{block}\n\n   .", maxsplit=1)[0])


def example(broker: Broker, databases: Databases, rules: Path) -> str:
    """Return the example configuration with the addresses of this test."""
    text = (ROOT / "config/fedbadges.toml.example").read_text()
    for old, new in {
        "amqp://badges:PASSWORD@localhost/": f"amqp://badges:PASSWORD@127.0.0.1:{broker.port}/",
        "postgresql://badges:PASSWORD@localhost/datanommer": databases.datanommer_url,
        "postgresql://badges:PASSWORD@localhost/tahrir": databases.tahrir_url,
        "/usr/share/badges/rules": str(rules),
    }.items():
        assert old in text
        text = text.replace(old, new)
    return text


def check_that_bodhi_publishes_under_its_own_topics_only(broker: Broker) -> None:
    parameters = pika.URLParameters(broker.url)
    parameters.credentials = pika.PlainCredentials("bodhi", "PASSWORD")
    with contextlib.closing(pika.BlockingConnection(parameters)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("amq.topic", "org.fedoraproject.prod.bodhi.update.comment", b"{}")
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
            channel.basic_publish("amq.topic", "org.fedoraproject.prod.git.receive", b"{}")


def test_two_daemons_of_the_example_award_badges_with_the_rights_that_the_page_gives(
    broker: Broker, postgresql: Postgresql, tmp_path: Path
) -> None:
    commands = documented_commands(PAGE)
    assert [command[0] for command in commands] == [
        *("add_user", "set_permissions", "set_topic_permissions"),
        *("add_user", "set_permissions", "set_topic_permissions"),
    ]
    for command in commands:
        broker.control(*command)
    check_that_bodhi_publishes_under_its_own_topics_only(broker)
    bus = BrokerBus(broker, "amq.topic", "badges", prefix="org.fedoraproject.prod")
    # Their tables are created.
    databases = postgresql.set_up(documented_statements(), "badges", ("tahrir", "datanommer"))
    with FmDeployment(tmp_path, databases, bus, RULES) as deployment:
        for _ in range(2):
            daemon = deployment.make()
            daemon.settings_file.write_text(example(broker, databases, tmp_path / "rules"))
            daemon.start()
            daemon.wait_until_started()
        eventually(lambda: bus.consumers() == 2, "both listen")
        names = [f"person{number}" for number in range(20)]

        bus.publish(*(named("logger.mention", {}, name) for name in names))

        for name in names:
            deployment.wait_for_badge(name, "mentioned")
            eventually(lambda name=name: bus.awards(name), "the notice")  # type: ignore[misc]
        for daemon in deployment.daemons:
            assert daemon.stop() == 0
            daemon.check_log()
    postgresql.drop_databases(databases)


def test_two_hubs_by_stomp_award_badges_as_the_page_says(
    broker: Broker, postgresql: Postgresql, tmp_path: Path
) -> None:
    definitions = tmp_path / "badges.json"
    definitions.write_text(shown("json").replace("broker.example.org", VIRTUAL_HOST))
    for command in documented_commands(STOMP_SECTION):
        broker.control(
            *(
                word.replace("broker.example.org", VIRTUAL_HOST).replace(
                    "/etc/rabbitmq/badges.json", str(definitions)
                )
                for word in command
            )
        )
    configuration: dict[str, object] = {}
    exec(shown("python"), configuration)  # noqa: S102
    settings = configuration["config"]
    assert isinstance(settings, dict)
    settings["stomp_uri"] = f"{VIRTUAL_HOST}:{broker.stomp_port}"
    bus = StompBus(broker, "badges")
    # Their tables are created.
    databases = postgresql.create_empty_databases()
    settings |= {"badges.create_tables": True}
    with StompDeployment(tmp_path / "hubs", databases, bus, rules_of(bus), settings) as deployment:
        hubs = [deployment.start("fedmsg-badges") for _ in range(2)]
        people = [f"person{number}" for number in range(20)]

        bus.publish(*names(bus, *people))

        for name in people:
            deployment.wait_for_badge(name, "named")
            eventually(lambda name=name: bus.awards(name), "the notice")  # type: ignore[misc]
        for hub in hubs:
            assert hub.stop() == 0
            hub.check_log()
    postgresql.drop_databases(databases)
