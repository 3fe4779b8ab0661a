"""``fedbadges check``: what is wrong with rules."""
