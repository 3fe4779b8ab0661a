"""The consumer, under the name by which ``fedmsg-hub`` finds it."""

from fedbadges.buses.loading import exit_on_sigterm

# Before the rest is imported, which takes seconds.
exit_on_sigterm()

from fedbadges.buses.fedmsg.consumer import BadgesConsumer  # noqa: E402


class FedoraBadgesConsumer(BadgesConsumer):
    """Awards badges for the messages on the bus."""
