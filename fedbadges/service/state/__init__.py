"""What the daemon keeps in its state directory from one start to the next, and who owns it."""
