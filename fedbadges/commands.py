"""``fedmsg-badges``: a hub with nothing in it but the badges consumer."""

from __future__ import annotations

import os
import sys

from fedmsg.commands.hub import HubCommand

from fedbadges.settings import ENABLED, SettingsError, read_settings

_CONSUMER = "fedbadges.consumers:FedoraBadgesConsumer"


class BadgesCommand(HubCommand):
    """Award badges for the messages on the bus.

    Runs a hub with nothing in it but the badges consumer, whether or not the configuration
    enables it. Configuration is read from /etc/fedmsg.d, ~/.fedmsg.d and ./fedmsg.d.
    """

    name = "fedmsg-badges"

    def run(self) -> int:
        """Run until stopped; gives the exit code, which is not 0 if the daemon could not start.

        A configuration that cannot be used gives ``os.EX_CONFIG``: no restart mends that.
        """
        self.config[ENABLED] = True
        self.config["explicit_hub_consumers"] = _CONSUMER
        try:
            read_settings(self.config)
        except SettingsError as error:
            sys.stderr.writelines(f"{line}\n" for line in error.lines)
            return os.EX_CONFIG
        # Not at the top: importing it installs Twisted's reactor.
        from moksha.hub.reactor import reactor

        started: list[bool] = []
        reactor.callWhenRunning(lambda: started.append(_stop_unless_consuming(reactor)))
        super().run()
        return 0 if all(started) else 1


def badges() -> None:
    """Be the command ``fedmsg-badges``."""
    sys.exit(BadgesCommand().execute())


def _stop_unless_consuming(reactor: object) -> bool:
    import moksha.hub

    if moksha.hub._hub.num_consumers:
        return True
    reactor.stop()  # type: ignore[attr-defined]
    return False
