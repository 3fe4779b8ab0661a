"""What ``fedbadges check --fix`` rewrites in rules."""
