"""What both databases have in common: connections, errors and prepared statements."""
