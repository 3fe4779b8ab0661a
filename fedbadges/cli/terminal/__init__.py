"""What commands share to show their results."""
