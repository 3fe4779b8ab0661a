"""The command ``fedmsg-badges``, under the name that its entry point has."""

from fedbadges.buses.loading import exit_on_sigterm

# Before the rest is imported, which takes seconds.
exit_on_sigterm()

from fedbadges.buses.fedmsg.command import run_command  # noqa: E402


def badges() -> None:
    """Run the command ``fedmsg-badges`` and exit."""
    run_command()
