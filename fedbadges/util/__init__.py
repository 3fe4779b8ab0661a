"""What every other package may use, and that knows nothing of badges."""
