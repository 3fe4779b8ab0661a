"""A new rule and its test: from questions, from options, or from a stored message."""
