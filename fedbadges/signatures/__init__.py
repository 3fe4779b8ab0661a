"""Signatures of messages, verified and made as fedmsg does, but with today's ``cryptography``.

fedmsg's own code for X.509 needs a pyOpenSSL that is no longer released. What others sign with
fedmsg is valid here, and vice versa.
"""
