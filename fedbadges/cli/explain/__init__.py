"""``fedbadges explain``: why a message does, or does not, give a badge."""
