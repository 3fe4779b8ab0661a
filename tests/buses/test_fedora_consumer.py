"""What fedora-messaging is told of a message, within the process: without a broker or a reactor."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import fedmsg.config
import pytest
from fedora_messaging.config import LazyConfig
from fedora_messaging.exceptions import Drop, HaltConsumer, Nack
from named_messages import named
from support.builders import make_config
from support.daemon import THIS_MESSAGE
from support.databases import Databases, badges
from support.rules import rule, write_rules
from support.toml import consumer_config, to_toml
from support.waiting import TIMEOUT, eventually

from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.buses.fedora_messaging import consumer as consumer_module
from fedbadges.buses.fedora_messaging.consumer import BadgesConsumer
from fedbadges.errors import Unavailable

RULES = {"mentioned": rule("Mentioned", f"trigger: {{topic: logger.mention}}\n{THIS_MESSAGE}")}

QUEUE: dict[str, Any] = {
    "durable": True,
    "auto_delete": False,
    "exclusive": False,
    "arguments": {},
}


class Exited(BaseException):
    """The process would have ended, with this code."""


class Reactor:
    """Calls everything at once, as if it ran."""

    def __init__(self) -> None:
        self.before_shutdown: Callable[[], Any] | None = None
        self.stopped = threading.Event()

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], Any]) -> None:  # noqa: N802
        assert event == "shutdown"
        if phase == "before":
            self.before_shutdown = call

    def callWhenRunning(self, call: Callable[[], Any]) -> None:  # noqa: N802
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        call()

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:  # noqa: N802
        call(*arguments)

    def stop(self) -> None:
        self.stopped.set()


class Running:
    """Makes consumers, and stops the last one."""

    def __init__(
        self, databases: Databases, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.databases = databases
        self.directory = directory
        self.reactor = Reactor()
        self.file = directory / "config.toml"
        self._monkeypatch = monkeypatch
        self._codes: list[int] = []
        self._exited = threading.Event()
        write_rules(directory / "rules", RULES)
        monkeypatch.setenv("FEDORA_MESSAGING_CONF", str(self.file))
        monkeypatch.setattr(consumer_module, "reactor", self.reactor)
        monkeypatch.setattr(consumer_module, "exit_at_once", self._exit)
        monkeypatch.setattr(consumer_module, "_CLOSE_TIMEOUT", 0.0)
        bus = fedmsg.config.defaults | {"endpoints": {}, "post_init_sleep": 0.0}
        monkeypatch.setattr(consumer_module, "Publisher", lambda: Publisher(bus))

    def make(self, queue: dict[str, Any] | None = None, **keys: Any) -> BadgesConsumer:
        """Return a consumer; ``keys`` are settings below ``badges.``."""
        config = make_config(self.databases, self.directory / "rules")
        defaults = {
            "record_messages": True,
            "reload": False,
            "state_directory": str(self.directory / "state"),
        }
        config |= {f"badges.{name}": value for name, value in (defaults | keys).items()}
        own = {"queues": {"badges": queue or QUEUE}, "bindings": []}
        self.file.write_text(to_toml(own) + consumer_config(config))
        self._monkeypatch.setattr(
            "fedora_messaging.config.conf", LazyConfig().load_config(str(self.file))
        )
        return BadgesConsumer()

    def stop(self, number: signal.Signals | None = signal.SIGTERM) -> int:
        """Stop it as fedora-messaging does, and return the exit code of the process.

        The code is that of a process in which something else hangs.
        """
        assert self.reactor.before_shutdown is not None
        if number is not None:
            signal.raise_signal(number)
        ended = self.reactor.before_shutdown()
        code = self.exit_code()
        # fedora-messaging closes its connection only then.
        assert ended.called
        return code

    def exit_code(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        assert self._exited.wait(TIMEOUT)
        return self._codes[0]

    def close(self) -> None:
        if self.reactor.before_shutdown is not None and not self._exited.is_set():
            self.stop()

    def _exit(self, code: int = os.EX_OK) -> None:
        self._codes.append(code)
        self._exited.set()
        if threading.current_thread() is threading.main_thread():
            raise Exited(code)


@pytest.fixture
def running(
    sqlite_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    made = Running(sqlite_database, tmp_path, monkeypatch)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "fedbadges")
    return caplog


def fail(*arguments: object) -> NoReturn:
    raise ValueError("for good")


def test_call_returns_when_the_badge_is_given(running: Running) -> None:
    consumer = running.make()

    consumer(named("org.fedoraproject.dev.logger.mention", {}, "alice"))

    assert "mentioned" in badges(running.databases, "alice")
    assert running.stop() == 0


def test_stop_that_nobody_asked_for_is_a_failure(running: Running) -> None:
    """As if the queue was deleted: fedora-messaging has a code for that, unless it hangs."""
    running.make()

    assert running.stop(None) == 1


def test_message_that_comes_at_a_stop_is_returned(running: Running) -> None:
    consumer = running.make()
    assert running.stop() == 0

    with pytest.raises(Nack):
        consumer(named("org.fedoraproject.dev.logger.mention", {}, "alice"))


def test_stop_waits_for_the_message_that_is_being_handled(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    award = consumer_module.Daemon.handle_acknowledged

    def slow(*arguments: Any, **keys: Any) -> None:
        begun.set()
        assert go_on.wait(TIMEOUT)
        award(*arguments, **keys)

    consumer = running.make()
    monkeypatch.setattr(consumer_module.Daemon, "handle_acknowledged", slow)
    message = named("org.fedoraproject.dev.logger.mention", {}, "alice")
    outcome: list[type[BaseException]] = []

    def call() -> None:
        try:
            consumer(message)
        except Nack as error:
            outcome.append(type(error))

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(TIMEOUT)
    assert running.reactor.before_shutdown is not None
    ended = running.reactor.before_shutdown()
    eventually(lambda: consumer._daemon.report()["state"] == "stopping", "the stop")
    assert not ended.called
    go_on.set()
    thread.join(TIMEOUT)

    eventually(lambda: ended.called, "the end")
    assert outcome == [Nack]


def test_message_that_fails_is_acknowledged_as_a_dead_letter(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = running.make()
    monkeypatch.setattr("fedbadges.tahrir.database.Tahrir.award", fail)

    consumer(named("org.fedoraproject.dev.logger.mention", {}, "alice"))

    assert len(list((running.directory / "state/failed").iterdir())) == 1


def test_message_that_fails_without_a_state_directory_is_left_to_the_dead_letters_of_the_broker(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    consumer = running.make(state_directory=None)
    monkeypatch.setattr("fedbadges.tahrir.database.Tahrir.award", fail)

    with pytest.raises(Drop):
        consumer(named("org.fedoraproject.dev.logger.mention", {}, "alice"))


def test_message_that_cannot_be_set_aside_is_returned_later(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_module, "_RETRY", 0.0)
    monkeypatch.setattr("fedbadges.service.state.dead_letters.MAX_COUNT", 0)
    consumer = running.make()
    monkeypatch.setattr("fedbadges.tahrir.database.Tahrir.award", fail)

    with pytest.raises(Nack):
        consumer(named("org.fedoraproject.dev.logger.mention", {}, "alice"))


def test_start_that_fails_after_an_outage_stops_the_reactor_and_exits_with_1(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = iter([Unavailable("away")])

    def prepare(*arguments: object) -> None:
        raise next(outcomes, ValueError("no"))

    monkeypatch.setattr("fedbadges.service.startup.prepare_databases", prepare)
    consumer = running.make()

    with pytest.raises(HaltConsumer) as halted:
        consumer(named("org.fedoraproject.dev.logger.mention", {}, "alice"))
    assert (halted.value.exit_code, halted.value.requeue) == (1, True)
    assert running.reactor.stopped.wait(TIMEOUT)
    assert running.reactor.before_shutdown is not None
    running.reactor.before_shutdown()
    assert running.exit_code() == 1


def test_start_that_fails_at_once_exits_with_1(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.service.startup.prepare_databases", fail)

    with pytest.raises(Exited, match="1"):
        running.make()


def test_mistakes_in_the_settings_are_printed_with_their_lines(
    running: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Exited, match=str(os.EX_CONFIG)):
        running.make(reload=1, consume_delay="soon")

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{running.file}:") for line in lines)


@pytest.mark.parametrize("key", ["durable", "auto_delete", "exclusive"])
def test_queue_that_does_not_outlive_the_daemon_is_warned_of(
    running: Running, key: str, log: pytest.LogCaptureFixture
) -> None:
    running.make(queue=QUEUE | {key: not QUEUE[key]})

    (line,) = [line for line in log.messages if line.startswith("Questionable configuration")]
    assert "the queue 'badges' is not durable, is exclusive or is deleted" in line
