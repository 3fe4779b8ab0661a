"""The consumer, under the name that it has in the configuration of fedbadges 2.x."""

from fedbadges.buses.loading import exit_on_sigterm

# Before the rest is imported, which takes seconds.
exit_on_sigterm()

from fedbadges.buses.fedora_messaging.consumer import BadgesConsumer  # noqa: E402


class FedoraBadgesConsumer(BadgesConsumer):
    """Awards badges for the messages on the bus."""
