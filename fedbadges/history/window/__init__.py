"""The window over recent messages: what it holds, and how it is read."""
