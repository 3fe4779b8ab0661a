"""``fedbadges test``: run the tests of rules."""
