"""The consumer, under the name by which ``fedmsg-hub`` finds it."""

from fedbadges.buses.fedmsg.consumer import BadgesConsumer


class FedoraBadgesConsumer(BadgesConsumer):
    """Awards badges for the messages on the bus."""
