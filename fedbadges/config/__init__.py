"""The configuration: every key, read and checked once.

``settings`` has the keys, ``values`` checks what they are set to, and ``keys`` and ``line_numbers``
report each mistake with its file, line and column.
"""
