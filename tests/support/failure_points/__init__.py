"""Killing a hub at named places of its code."""
