"""``fedbadges backfill``: badges for all who have earned them by now."""
