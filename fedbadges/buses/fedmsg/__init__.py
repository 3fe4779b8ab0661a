"""fedmsg: the consumer in its hub, signals and the publisher."""
