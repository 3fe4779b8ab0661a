"""The deployment of the demo on RabbitMQ: its queues, its rules, and a file for each consumer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import processes
import rabbitmq

EXCHANGE = "amq.topic"
QUEUE = "badges"
CONSUMERS = 2
#: Of whoever hears what is published.
LISTENER = "demo"

#: What the topics of notices begin with.
PREFIX = "org.fedoraproject.prod"

_SETTINGS = """\
amqp_url = {url}
callback = "fedbadges.fedora_messaging:BadgesConsumer"
topic_prefix = {prefix}
publish_exchange = {exchange}

[queues.{queue}]
durable = true
auto_delete = false
exclusive = false
arguments = {{}}

[[bindings]]
queue = {queue}
exchange = {exchange}
routing_keys = ["#"]

# The other one is to have what this one does not get to.
[qos]
prefetch_size = 0
prefetch_count = 1

[consumer_config]
datanommer.sqlalchemy.url = {datanommer}
fedbadges.datagrepper_url = "https://datagrepper.example.org"

[consumer_config.badges]
yaml.directory = {rules}
email_domain = "example.org"
state_directory = {state}
metrics.address = {metrics}
record_messages = true
create_tables = true
# A clone may lie where everybody can write, such as on a drive of Windows.
insecure_rules = true

[consumer_config.badges_global]
database_uri = {tahrir}

[consumer_config.badges_global.badge_issuer]
issuer_origin = "https://badges.example.org"
issuer_name = "Example Badges"
issuer_org = "https://www.example.org"
issuer_contact = "badges@example.org"

[log_config]
version = 1
disable_existing_loggers = false

[log_config.formatters.line]
format = "%(levelname)s %(name)s: %(message)s"

[log_config.handlers.console]
class = "logging.StreamHandler"
formatter = "line"
stream = "ext://sys.stdout"

[log_config.loggers.fedbadges]
level = "INFO"

[log_config.root]
level = "WARNING"
handlers = ["console"]
"""


def copy_rules(home: Path) -> Path:
    """Copy the example rules, with the topic that awards have on fedora-messaging."""
    rules = Path(shutil.copytree(processes.ROOT / "rules", home / "rules"))
    for path in rules.rglob("*.yml"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("fedbadges.badge.award", "badges.badge.award"), "utf-8")
    return rules


def write_settings(
    home: Path, url: str, rules: Path, metrics: Sequence[str], *, tahrir: str, datanommer: str
) -> list[Path]:
    """Write a configuration for each consumer, with where it serves metrics; return the files."""
    files = [home / f"consumer-{number}.toml" for number in range(1, CONSUMERS + 1)]
    for path, address in zip(files, metrics, strict=True):
        values = {
            "url": url,
            "prefix": PREFIX,
            "exchange": EXCHANGE,
            "queue": QUEUE,
            "rules": str(rules),
            "state": str(home / path.stem),
            "metrics": address,
            "tahrir": tahrir,
            "datanommer": datanommer,
        }
        quoted = {key: json.dumps(value) for key, value in values.items()}
        # A string of JSON is one of TOML.
        path.write_text(_SETTINGS.format(**quoted), encoding="utf-8")
    return files


def declare_queues(url: str) -> None:
    """Make the queue of the consumers, and that of the listener."""
    with rabbitmq.channel(url) as channel:
        for queue, key in ((QUEUE, "#"), (LISTENER, f"{PREFIX}.badges.#")):
            channel.queue_declare(queue, durable=True)
            channel.queue_bind(queue, EXCHANGE, key)
