"""The command ``fedmsg-badges``, under the name that its entry point has."""

from fedbadges.buses.fedmsg.command import run_command


def badges() -> None:
    """Run the command ``fedmsg-badges`` and exit."""
    run_command()
