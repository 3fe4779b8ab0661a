"""The criteria backends that come with fedbadges."""
