"""The message buses that the daemon can listen to."""
