"""``fedbadges award``: badges by hand, for one, for several, or for those in a file."""
