"""The configuration: every key, read and checked once."""
