"""Award Open Badges for what contributors do, as it happens on the fedmsg bus."""
