"""Tahrir's database: who holds which badge, and awarding."""
