"""``fedbadges status``: what the running daemon is doing."""
