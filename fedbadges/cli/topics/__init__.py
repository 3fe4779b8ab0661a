"""What the history has: its topics, and the fields of their messages."""
