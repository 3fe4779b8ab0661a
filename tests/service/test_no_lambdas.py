"""Deployments and checks that take no Python in rules."""

from pathlib import Path
from typing import Any

import pytest
from support.builders import make_config, make_message
from support.command import GOOD, fedbadges
from support.daemon import THIS_MESSAGE, running
from support.databases import Databases
from support.rule_text import HERE, PARSING, PATH, complete
from support.rules import rule
from support.toml import consumer_config

from fedbadges.errors import RuleError
from fedbadges.rules.loader import load_text

EVERYWHERE = """\
trigger:
  any:
  - lambda: →msg['msg']['open']
  - lambda: →this does not even compile
criteria:
  filter: {topics: {lambda: →"[msg['topic']]"}, end: {lambda: →msg}}
  operation: {lambda: →query.count()}
  condition: {lambda: →value > 3}
"""
MESSAGE = "'fields' compares what a message has, and templates are values of it"
OTHERS = (
    "use 'count' with 'fields' in the filter, or another operation",
    "compare with a number, and combine several criteria by 'any' or 'all'",
)
WITH_PYTHON = f"trigger: {{lambda: 'True'}}\nrecipient: '%(msg.user)s'\n{THIS_MESSAGE}"
WITHOUT = f"trigger: {{fields: {{msg.user: alice}}}}\nrecipient: '%(msg.user)s'\n{THIS_MESSAGE}"


def test_each_lambda_is_a_mistake_with_its_place() -> None:
    text = complete(EVERYWHERE).replace(HERE, "")
    places = []
    before = ""
    for piece in complete(EVERYWHERE).split(HERE)[:-1]:
        before += piece
        # The place of a text in quotes is behind the first.
        quoted = complete(EVERYWHERE).split(HERE)[len(places) + 1].startswith('"')
        places.append((before.count("\n") + 1, len(before) - before.rfind("\n") + quoted))

    with pytest.raises(RuleError) as caught:
        load_text(text.encode(), PATH, PARSING, lambdas=False)

    assert [str(problem) for problem in caught.value.problems] == [
        f"{PATH}:{line}:{column}: lambdas are not allowed here; {instead}"
        for (line, column), instead in zip(places, [MESSAGE] * 4 + [*OTHERS], strict=True)
    ]


def test_a_rule_without_python_is_loaded() -> None:
    assert load_text(complete(WITHOUT).encode(), PATH, PARSING, lambdas=False)


def test_a_daemon_without_lambdas_gives_no_badge_for_a_rule_with_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = {"a": rule("A", WITH_PYTHON), "b": rule("B", WITHOUT)}
    with running(tmp_path, rules, lambdas=False) as daemon:
        daemon.handle(dict(make_message("logger.log", {"user": "alice"}).body))

        assert daemon.badges("alice") == {"b"}
    assert "a.yml:7:20: lambdas are not allowed here" in caplog.text


def configured(bus: str, databases: Databases, directory: Path, **keys: Any) -> tuple[str, Path]:
    """Return the arguments that name a configuration of a bus."""
    config = make_config(databases, directory / "rules")
    config |= {f"badges.{name}": value for name, value in keys.items()}
    path = directory / f"badges.{'toml' if bus == 'fedora-messaging' else 'py'}"
    if bus == "fedora-messaging":
        del config["topic_prefix_re"]
        path.write_text(consumer_config(config))
    else:
        path.write_text(f"config = {config | {'endpoints': {}}!r}")
    return "--config", path


@pytest.mark.parametrize("bus", ["fedmsg", "fedora-messaging"])
@pytest.mark.parametrize("allowed", [True, False])
def test_commands_know_whether_a_deployment_takes_lambdas(
    bus: str, allowed: bool, sqlite_database: Databases, tmp_path: Path
) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yml").write_text(rule("A", WITH_PYTHON))
    configuration = configured(bus, sqlite_database, tmp_path, lambdas=allowed)

    checked = fedbadges("check", *configuration, "--ignore", "same-for-all", tmp_path / "rules")
    asked = fedbadges("progress", "alice", *configuration)

    for output in (checked.output, asked.output):
        assert ("a.yml:7:20: " in output) is not allowed
        assert ("lambdas are not allowed here" in output) is not allowed


def test_check_finds_lambdas_without_a_deployment(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text(complete(f"trigger: {{lambda: \"msg['i'] == 1\"}}\n{GOOD}"))

    found = fedbadges("check", "--no-lambdas", path)

    assert fedbadges("check", path).exit_code == 0
    assert (found.exit_code, found.stdout.count("\n")) == (1, 1)
    assert f"error: lambdas are not allowed here; {MESSAGE} [mistake]" in found.stdout
