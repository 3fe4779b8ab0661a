"""Who a message concerns, by what is installed for ``fedmsg.meta``."""

import logging
from collections.abc import Iterator
from typing import Any

import fedmsg.meta
import pytest
from fedmsg.meta.base import BaseProcessor
from support.builders import make_message

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.messages import Message, parse_message


class GitProcessor(BaseProcessor):
    """A plugin that believes what messages say."""

    __name__ = "git"
    __description__ = __link__ = __docs__ = __obj__ = "git"
    topic_prefix_re = r"org\.fedoraproject\.(dev|stg|prod)"

    def usernames(self, msg: Any, **config: Any) -> Any:
        return msg["msg"]["users"]

    def packages(self, msg: Any, **config: Any) -> Any:
        return msg["msg"]["packages"]


@pytest.fixture
def usernames() -> FedmsgUsernames:
    """With fedmsg's own processors alone."""
    return FedmsgUsernames({"topic_prefix_re": r"org\.fedoraproject\.(dev|stg|prod)"})


@pytest.fixture
def with_git(usernames: FedmsgUsernames) -> Iterator[FedmsgUsernames]:
    """With a plugin for git messages, as an installed package brings it."""
    config = {"topic_prefix_re": r"org\.fedoraproject\.(dev|stg|prod)"}
    plugin = GitProcessor(lambda text: text, **config)
    before = list(fedmsg.meta.processors)
    fedmsg.meta.processors[:] = [plugin, *before]
    yield usernames
    fedmsg.meta.processors[:] = before


def test_the_user_of_a_log_message_is_named_in_lower_case(usernames: FedmsgUsernames) -> None:
    message = make_message("logger.log", username="Alice")

    assert usernames.users(message) == {"alice"}
    assert usernames.agent(message) == "alice"


def test_a_message_of_an_unknown_kind_names_nobody(usernames: FedmsgUsernames) -> None:
    message = make_message("git.receive", {"user": "alice"})

    assert usernames.users(message) == set()
    assert usernames.packages(message) == set()
    assert usernames.agent(message) is None


@pytest.mark.parametrize("odd", [None, 5, ["alice"], {"name": "alice"}, True])
def test_plugin_answers_that_are_no_text_are_ignored(usernames: FedmsgUsernames, odd: Any) -> None:
    message = make_message("logger.log", username=odd)

    assert usernames.users(message) == set()
    assert usernames.agent(message) is None


def test_a_plugin_names_users_and_packages(with_git: FedmsgUsernames) -> None:
    message = make_message("git.receive", {"users": {"Alice", "bob"}, "packages": {"Guake"}})

    assert with_git.users(message) == {"alice", "bob"}
    assert with_git.packages(message) == {"Guake"}
    assert with_git.agent(message) in {"alice", "bob"}


def test_has_plugins_is_true_with_a_plugin(usernames: FedmsgUsernames) -> None:
    fedmsg.meta.processors.insert(0, GitProcessor(lambda text: text, topic_prefix_re="x"))
    try:
        assert usernames.has_plugins
    finally:
        del fedmsg.meta.processors[0]


@pytest.mark.parametrize("msg", [{"users": 5}, {}, "text", []])
def test_plugin_that_fails_names_nobody_and_is_warned_of_once(
    with_git: FedmsgUsernames, msg: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "fedbadges")

    for _ in range(3):
        assert with_git.users(make_message("git.receive", msg, msg_id="a\nb")) == set()

    lines = [record.message for record in caplog.records if record.name.startswith("fedbadges")]
    assert len(lines) <= 1
    assert not any("\n" in line for line in lines)


@pytest.mark.parametrize("name", ["users", "packages", "agent"])
def test_warning_of_a_failed_plugin_says_what_was_asked(
    with_git: FedmsgUsernames, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "fedbadges")
    message = make_message("git.receive", {"users": 5, "packages": 5}, msg_id="2026-1")

    getattr(with_git, name)(message)

    (line,) = caplog.messages
    assert line.startswith(f"Plugin for fedmsg failed category=git asked={name} msg_id=2026-1 ")


def test_plugin_is_asked_each_question_once_per_message(
    with_git: FedmsgUsernames, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    usernames = GitProcessor.usernames

    def note(self: GitProcessor, msg: Any, **config: Any) -> Any:
        asked.append(msg["msg_id"])
        return usernames(self, msg, **config)

    monkeypatch.setattr(GitProcessor, "usernames", note)
    first = make_message("git.receive", {"users": ["alice"]}, msg_id="1")
    second = make_message("git.receive", {"users": ["bob"]}, msg_id="2")

    assert [with_git.users(message) for message in (first, first, second, second)] == [
        {"alice"},
        {"alice"},
        {"bob"},
        {"bob"},
    ]
    assert asked == ["1", "2"]


def test_a_user_of_other_letters_does_not_become_another_in_lower_case(
    with_git: FedmsgUsernames,
) -> None:
    users = ["\N{KELVIN SIGN}evin", "Alice"]
    message = make_message("git.receive", {"users": users, "packages": []})

    assert with_git.users(message) == {"alice"}


def from_fedora_messaging(**names: Any) -> Message:
    """Return a message as it comes with a schema, which has these names."""
    body = {
        "topic": "org.fedoraproject.dev.git.receive",
        "msg": {"users": ["plugin"], "packages": ["plugin"]},
        "msg_id": "8a5fc02d",
        "headers": {"fedora_messaging_schema": "git.receive", **names.pop("headers", {})},
        "username": names.pop("agent", None),
    }
    message = parse_message(body, **names)
    assert message is not None
    return message


def test_names_of_a_schema_come_before_those_of_a_plugin(with_git: FedmsgUsernames) -> None:
    message = from_fedora_messaging(
        known_users=frozenset(["Alice"]), known_packages=frozenset(["guake"]), agent="Bob"
    )

    assert with_git.users(message) == {"alice"}
    assert with_git.packages(message) == {"guake"}
    assert with_git.agent(message) == "bob"


def test_plugin_is_asked_where_a_schema_names_nobody(with_git: FedmsgUsernames) -> None:
    message = from_fedora_messaging()

    assert with_git.users(message) == {"plugin"}
    assert with_git.packages(message) == {"plugin"}
    assert with_git.agent(message) == "plugin"


def test_headers_name_whom_a_schema_named_that_is_not_installed(
    with_git: FedmsgUsernames,
) -> None:
    headers = {"fedora_messaging_user_Alice": True, "fedora_messaging_rpm_guake": True}
    message = from_fedora_messaging(headers=headers)

    assert with_git.users(message) == {"alice"}
    assert with_git.packages(message) == {"guake"}


def test_no_plugin_is_missing_where_messages_have_schemas() -> None:
    config = {"topic_prefix_re": "org.fedoraproject.dev", "config_filename": "/etc/badges.toml"}

    assert FedmsgUsernames(config).has_plugins
