"""Publishing on fedora-messaging, in a connection of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import Any

import crochet
from fedora_messaging import config, exceptions
from fedora_messaging.twisted.service import FedoraMessagingServiceV2
from twisted.internet import defer, reactor
from twisted.python.failure import Failure

from fedbadges.buses.fedora_messaging.messages import message_of
from fedbadges.buses.queued_publisher import QueuedPublisher
from fedbadges.errors import SettingsError
from fedbadges.messages import Notice
from fedbadges.outbox.publisher import Result
from fedbadges.util.text import describe_error

#: Seconds for which a connection, a confirmation and the end of the connection are waited for.
_CONNECT_TIMEOUT = 8.0
_CONFIRM_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 1.0

#: Seconds after which a stop gives up what the broker does not confirm.
_STOP_TIMEOUT = 2.5

#: Seconds between two tries to connect, at most; Twisted's own are up to an hour.
MAX_RECONNECT_DELAY = 30


class NoAnswer(Exception):
    """The broker did not answer in time."""


class Publisher(QueuedPublisher):
    """Publishes notices on fedora-messaging; each is sent when the broker has confirmed it.

    All is done in the reactor, while the thread of the publisher waits. Its connection is not that
    of the consumer: fedora-messaging closes that one before the last awards are committed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._service: FedoraMessagingServiceV2 | None = None
        # Done when nothing is waited for any more.
        self._given_up: Future[None] = Future()

    def stop(self, timeout: float = 5.0) -> bool:
        """Send what is queued, for ``timeout`` seconds at most, and disconnect.

        Returns True if the broker has confirmed all that was sent.
        """
        if super().stop(min(timeout, _STOP_TIMEOUT)):
            return True
        if not self._given_up.done():
            self._given_up.set_result(None)
        self._thread.join(_CLOSE_TIMEOUT)
        return not self._thread.is_alive()

    def _connect(self) -> None:
        try:
            if self._service is None:
                self._service = FedoraMessagingServiceV2(config.conf["amqp_url"])
                self._service.factory.maxDelay = MAX_RECONNECT_DELAY
                _call_in_reactor(self._service.startService)
            self._wait_for(self._service.factory.when_connected, _CONNECT_TIMEOUT)
        except Exception as error:  # a certificate that cannot be read, a wrong password, …
            self._cannot_connect(describe_error(error))
        else:
            self._connected()

    def _send(self, notice: Notice, result: Result) -> None:
        if self._service is None or self._trouble is not None:
            self._drop(notice, result)
            return
        try:
            message, exchange = message_of(notice), config.conf["publish_exchange"]
            publish = partial(self._service.factory.publish, message, exchange)
            self._wait_for(publish, _CONFIRM_TIMEOUT)
        except Exception as error:  # the broker refuses it, no answer, …
            self._fail(notice, result, error, describe_error(error))
            if isinstance(error, (NoAnswer, exceptions.ConnectionException)):
                self._cannot_connect(describe_error(error))
        else:
            result(notice, None)

    def _disconnect(self) -> None:
        if self._service is not None:
            with contextlib.suppress(Exception):  # whatever it is, the process ends
                self._wait_for(self._service.stopService, _CLOSE_TIMEOUT)

    def _wait_for(self, call: Callable[[], Any], timeout: float) -> None:
        """Call what returns a Deferred in the reactor, and wait; raise what it raises, or NoAnswer.

        A reactor that has stopped never answers.
        """
        done: Future[None] = Future()
        begun: list[defer.Deferred[Any]] = []

        def begin() -> None:
            deferred = defer.maybeDeferred(call)
            begun.append(deferred)
            deferred.addCallbacks(lambda _: done.set_result(None), fail)

        def fail(failure: Failure) -> None:
            done.set_exception(failure.value)

        _call_in_reactor(begin)
        wait((done, self._given_up), timeout, FIRST_COMPLETED)
        if not done.done():
            _call_in_reactor(lambda: begun[0].cancel())
            raise NoAnswer(f"no answer of the broker within {timeout:g} seconds")
        done.result()


def command_publisher(path: Path) -> Publisher:
    """Return a publisher for a process without a reactor, by this configuration file.

    Raises SettingsError.
    """
    try:
        config.conf.load_config(str(path))
    except exceptions.ConfigurationException as error:
        raise SettingsError([f"{path}: {error.message}"]) from error
    crochet.setup()
    return Publisher()


def _call_in_reactor(function: Callable[[], object]) -> None:
    reactor.callFromThread(function)
