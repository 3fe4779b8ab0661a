"""The daemon: everything between a message that comes and an award that is out."""
