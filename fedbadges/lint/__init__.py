"""What ``fedbadges check`` finds in rules, beyond what the daemon calls a mistake."""
