"""``fedbadges retry``: handle the dead letters again."""

from __future__ import annotations

import sys

import click

from fedbadges.cli.deployment import Deployment, make_publisher, with_deployment
from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.util.text import printable

_EPILOG = """\b
Examples:
  fedbadges retry
  fedbadges retry --config /etc/fedora-messaging/fedbadges.toml

\b
Exit codes: 0 if all were handled, 1 if some failed again, 2 if the command
cannot run.
"""


@click.command(epilog=_EPILOG)
@with_deployment()
def retry(deployment: Deployment) -> None:
    """Handle the messages again that failed and were set aside.

    Those that are handled now are removed from 'badges.state_directory'/failed. Call it as the
    daemon's user; the daemon may run meanwhile. 'fedmsg-badges --retry-failed' does the same.
    """
    from fedbadges.errors import CannotStart
    from fedbadges.service.daemon import Daemon

    settings = deployment.settings
    if settings.state_directory is None:
        raise CannotRun("'badges.state_directory' is not set, so nothing was set aside anywhere")
    publisher, reason = make_publisher(settings)
    if publisher is None:
        raise CannotRun(reason)
    daemon = Daemon(settings, publisher)
    try:
        failed = daemon.retry_dead_letters()
    except CannotStart as error:
        raise CannotRun(f"Cannot start: {error}") from error
    finally:
        daemon.stop()
    for path, why in failed:
        click.echo(printable(f"{path}: failed again: {why}"))
    sys.exit(FOUND if failed else GOOD)
