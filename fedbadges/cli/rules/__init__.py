"""The rules in force: a list of them, and each in words, with those who hold its badge."""
