"""How commands show their results and their progress."""
