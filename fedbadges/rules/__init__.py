"""The rule language: from YAML text to immutable objects that judge messages.

Nothing in this package knows a database, a bus or an account service.
"""
