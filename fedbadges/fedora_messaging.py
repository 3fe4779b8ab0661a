"""The consumer, under the name by which ``fedora-messaging consume`` finds it."""

from fedbadges.buses.loading import exit_on_sigterm

# Before the rest is imported, which takes seconds.
exit_on_sigterm()

from fedbadges.buses.fedora_messaging.consumer import BadgesConsumer  # noqa: E402

__all__ = ["BadgesConsumer"]
