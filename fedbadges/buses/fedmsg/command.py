"""``fedmsg-badges``: a hub that runs the badges consumer and nothing else."""

import importlib.metadata
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future

from fedmsg.commands.hub import HubCommand

from fedbadges.config.settings import ENABLED, Settings
from fedbadges.errors import CannotStart, SettingsError, Stopped
from fedbadges.service.startup import read_start_settings
from fedbadges.util.logs import enable_loggers

_CONSUMER = "fedbadges.consumers:FedoraBadgesConsumer"


class BadgesCommand(HubCommand):
    """Award badges for the messages on the bus.

    Runs a hub with nothing in it but the badges consumer, whether or not the configuration
    enables it. Configuration is read from /etc/fedmsg.d, ~/.fedmsg.d and ./fedmsg.d.
    """

    name = "fedmsg-badges"
    extra_args = (
        *HubCommand.extra_args,
        (
            ["--retry-failed"],
            {
                "dest": "retry_failed",
                "action": "store_true",
                "default": False,
                "help": "Handle the messages in badges.state_directory/failed again, and exit.",
            },
        ),
        (
            ["--version"],
            {
                "action": "version",
                "version": f"fedmsg-badges {importlib.metadata.version('fedbadges')}",
                "help": "Show the version and exit.",
            },
        ),
    )

    def run(self) -> int:
        """Run until stopped; return the exit code, which is not 0 if the daemon could not start.

        It is ``os.EX_CONFIG`` if the configuration cannot be used: a restart does not help.
        """
        # fedmsg configured logging after this package was imported.
        enable_loggers()
        self.config[ENABLED] = True
        self.config["explicit_hub_consumers"] = _CONSUMER
        try:
            settings, _ = read_start_settings(self.config)
        except SettingsError as error:
            sys.stderr.writelines(f"{line}\n" for line in error.lines)
            return os.EX_CONFIG
        if self.config.get("retry_failed"):
            return _retry_dead_letters(settings)
        # Not at the top: importing it installs Twisted's reactor.
        from moksha.hub.reactor import reactor

        from fedbadges.buses.fedmsg.signals import stop_hub

        failed: list[object] = []

        def give_up(reason: object) -> None:
            failed.append(reason)
            reactor.callFromThread(stop_hub)

        reactor.callWhenRunning(_watch_start, give_up)
        super().run()
        return 1 if failed else 0


def run_command() -> None:
    """Run ``fedmsg-badges`` and exit with its exit code."""
    try:
        command = BadgesCommand()
    except ValueError as error:  # fedmsg's own way to say that a key is missing or malformed
        reason = str(error).rstrip(".")
        if "'endpoints' found" in reason:
            reason += "; on another bus than ZeroMQ it may be {}"
        sys.stderr.write(f"fedmsg cannot use its configuration: {reason}\n")
        sys.exit(os.EX_CONFIG)
    sys.exit(command.execute())


def _retry_dead_letters(settings: Settings) -> int:
    """Retry the dead letters; return 1 if some failed again, or the daemon could not start."""
    from fedbadges.buses.fedmsg.publisher import Publisher
    from fedbadges.buses.loading import do_not_exit_on_sigterm
    from fedbadges.service.daemon import Daemon

    do_not_exit_on_sigterm()
    if settings.state_directory is None:
        sys.stderr.write("'badges.state_directory' is not set, so nothing was set aside anywhere\n")
        return os.EX_CONFIG
    daemon = Daemon(settings, Publisher(settings.fedmsg))
    try:
        failed = daemon.retry_dead_letters()
    except CannotStart as error:
        sys.stderr.write(f"Cannot start: {error}\n")
        return 1
    finally:
        daemon.stop()
    for path, reason in failed:
        sys.stderr.write(f"{path}: failed again: {reason}\n")
    return 1 if failed else 0


def _watch_start(give_up: Callable[[object], None]) -> None:
    """Call ``give_up`` as soon as it is clear that nothing will ever be awarded."""
    import moksha.hub

    def check(done: Future[None]) -> None:
        if done.exception() is not None and not isinstance(done.exception(), Stopped):
            give_up(done.exception())

    consumers = moksha.hub._hub.consumers
    started = getattr(consumers[0], "started", None) if consumers else None
    if started is None:
        give_up("no consumer")
    else:
        started.add_done_callback(check)
