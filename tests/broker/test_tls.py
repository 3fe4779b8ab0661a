"""TLS between daemon and broker, with the broker's configuration that the documentation shows."""

import ssl
from pathlib import Path

import pika
import pika.exceptions
import pytest
from named_messages import named
from support.broker import Broker, BrokerBus, needs_broker
from support.daemon import THIS_MESSAGE
from support.databases import Databases
from support.fm_consumer import FmDeployment
from support.rules import rule
from support.waiting import eventually

pytestmark = [needs_broker, pytest.mark.slow]

RULES = {"mentioned": rule("Mentioned", f"trigger: {{topic: logger.mention}}\n{THIS_MESSAGE}")}


def test_daemon_with_a_certificate_awards_and_publishes_by_tls(
    broker: Broker, bus: BrokerBus, postgresql_database: Databases, tmp_path: Path
) -> None:
    # It names the user.
    broker.authority.issue("guest").stored(tmp_path, "badges")
    (tmp_path / "ca.crt").write_bytes(broker.authority.pem)
    files = {"ca_cert": "ca.crt", "certfile": "badges.crt", "keyfile": "badges.key"}
    url = f"amqps://127.0.0.1:{broker.tls_port}/%2F"
    changes = {"amqp_url": url, "tls": {key: str(tmp_path / file) for key, file in files.items()}}
    with FmDeployment(tmp_path, postgresql_database, bus, RULES) as deployment:
        bus.changes = changes
        daemon = deployment.start()
        daemon.wait_for_log("INFO", "Authenticating with server using x509")

        bus.publish(named("logger.mention", {}, "alice"))

        deployment.wait_for_badge("alice", "mentioned")
        eventually(lambda: bus.awards("alice"), "the notice")
        assert daemon.stop() == 0
        # pika calls it an error that RabbitMQ ends a connection before TLS says so.
        assert not daemon.logged("ERROR", "fedbadges.")


def test_nobody_connects_by_tls_without_a_certificate(broker: Broker, tmp_path: Path) -> None:
    context = ssl.create_default_context(cadata=broker.authority.pem.decode())
    parameters = pika.ConnectionParameters(
        "127.0.0.1", broker.tls_port, ssl_options=pika.SSLOptions(context, "127.0.0.1")
    )

    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(parameters)
