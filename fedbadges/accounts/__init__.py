"""Accounts and usernames: who has an account, and which users a message concerns."""
