"""``fedbadges``: the command for those who write rules and those who run the daemon."""
