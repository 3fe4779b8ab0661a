"""Badges that are revoked by hand while a real ``fedmsg-hub`` runs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bus import fedmsg_body
from support.databases import Databases
from support.deployment import Deployment, run_deployment
from support.documented import ROOT, blocks
from support.rules import counting_rule, rule
from support.waiting import eventually

WHY = ("--reason", "by mistake")
NOTICE = "fedbadges.badge.revoke"

HELLO = rule(
    "Hello",
    """
trigger: {topic: logger.hello}
criteria:
  filter: {msg_id: "%(msg_id)s"}
  operation: count
  condition: {greater than or equal to: 1}
recipient: "%(msg.user)s"
""",
)


def documented() -> str:
    """Return the rule of docs/rules.rst that counts what somebody holds, from three badges on."""
    (text,) = [t for _, kind, t in blocks(ROOT / "docs/rules.rst") if "not: secret" in t]
    assert "50" in text
    return text.replace("50", "3")


RULES = {
    "hello": HELLO,
    **{each: counting_rule(each, f"logger.{each}", 1) for each in ("one", "two", "three", "four")},
    "collector": rule("Collector", documented()),
}

pytestmark = pytest.mark.parametrize(
    "shared_database",
    [pytest.param(kind, marks=pytest.mark.slow) for kind in ("postgresql", "sqlite")],
    indirect=True,
    scope="module",
)


@pytest.fixture(scope="module")
def deployment(
    shared_database: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with run_deployment(tmp_path_factory.mktemp("hub"), shared_database, RULES) as running:
        yield running


def revoke(deployment: Deployment, user: str, badge: str, *options: str) -> None:
    code, text = deployment.hub.run("fedbadges", "revoke", user, badge, *WHY, *options)
    assert code == 0, text


def hello(deployment: Deployment, user: str, delay: float = 0.0) -> None:
    """Say hello, as if that were so many seconds later."""
    body = fedmsg_body("logger.hello", {"user": user}, user)
    deployment.bus.send(body | {"timestamp": time.time() + delay})


def test_revoked_badge_does_not_come_back_at_the_next_start(deployment: Deployment) -> None:
    hello(deployment, "alice")
    hello(deployment, "bob")
    deployment.wait_for_badge("alice", "hello")
    deployment.wait_for_badge("bob", "hello")
    revoke(deployment, "alice", "hello")
    revoke(deployment, "bob", "hello", "--for-good")

    before = len(deployment.hub.logged("INFO", "Caught up"))
    deployment.restart()

    eventually(lambda: len(deployment.hub.logged("INFO", "Caught up")) > before, "the first pass")
    hello(deployment, "zoe")
    deployment.wait_for_badge("zoe", "hello")
    assert "hello" not in deployment.badges("alice")

    # Messages that come later earn it again, but not what was revoked for good.
    hello(deployment, "bob", 90)
    hello(deployment, "alice", 90)
    deployment.wait_for_badge("alice", "hello")
    assert "hello" not in deployment.badges("bob")
    code, text = deployment.hub.run("fedbadges", "award", "bob", "hello", *WHY)
    assert (code, "revoked for good" in text) == (0, True), text


def test_documented_rule_does_not_count_badges_that_were_revoked(deployment: Deployment) -> None:
    for number in ("one", "two"):
        deployment.publish(f"logger.{number}", username="carol")
        deployment.bus.wait_for_award("carol", number)
    revoke(deployment, "carol", "two")
    (notice,) = eventually(
        lambda: deployment.bus.heard(NOTICE, lambda msg: msg["user"]["username"] == "carol"),
        "the notice",
    )
    assert notice["msg"]["badge"]["badge_id"] == "two"
    for name in ("carol", "dave"):
        for number in ("three", "one") if name == "carol" else ("three", "one", "two"):
            deployment.publish(f"logger.{number}", username=name)
            deployment.wait_for_badge(name, number)
    deployment.wait_for_badge("dave", "collector")
    assert "collector" not in deployment.badges("carol")

    deployment.publish("logger.four", username="carol")

    deployment.wait_for_badge("carol", "collector")


@pytest.mark.slow
def test_notice_of_a_command_without_an_address_is_published_by_the_daemon(
    deployment: Deployment, tmp_path: Path
) -> None:
    lines = deployment.hub.settings_file.read_text().splitlines()
    others = [line for line in lines if not line.startswith("    'endpoints':")]
    config = tmp_path / "config.py"
    config.write_text("\n".join([*others[:1], "    'endpoints': {},", *others[1:]]))
    deployment.publish("logger.one", username="erin")
    deployment.wait_for_badge("erin", "one")

    revoke(deployment, "erin", "one", "--config", str(config))

    eventually(
        lambda: deployment.bus.heard(NOTICE, lambda msg: msg["user"]["username"] == "erin"),
        "the notice",
    )
