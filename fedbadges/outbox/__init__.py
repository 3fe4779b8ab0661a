"""The outbox: every notice of a committed award is published at least once."""
