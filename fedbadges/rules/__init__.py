"""The rule language: YAML text to immutable objects, which know no database, bus or account."""
