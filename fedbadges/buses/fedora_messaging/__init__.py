"""fedora-messaging: the consumer for ``fedora-messaging consume``, messages and the publisher."""
