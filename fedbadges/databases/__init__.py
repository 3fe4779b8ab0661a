"""What both databases have in common: URLs, connections, errors, prepared statements."""
