"""``fedbadges award``, and what ``fedbadges revoke`` shares with it."""
