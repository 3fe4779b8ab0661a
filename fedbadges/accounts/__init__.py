"""Who has an account, and whom a message concerns."""
