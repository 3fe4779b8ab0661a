"""The configuration: every key, read and checked once.

``settings`` has the keys, ``values`` parses them, ``toml_files`` reads fedora-messaging's files,
``line_numbers`` locates mistakes.
"""
