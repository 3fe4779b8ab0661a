"""What a rule would do: the figures, and how they are shown as text, as JSON and as a page."""
