"""The history: every past message, in datanommer's database."""
