"""``fedbadges backfill``: badges for what was earned earlier, or for those in a group."""
