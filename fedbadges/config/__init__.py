"""The configuration: every key, read and checked once.

``settings`` has the keys, ``values`` parses them, ``keys`` and ``line_numbers`` locate mistakes.
"""
