"""What the tests stand on: real databases, a real bus, a real hub as a process."""
