"""Who sent a message: what fedmsg signs, checked and made with today's ``cryptography``.

fedmsg's own code for X.509 needs a pyOpenSSL that is no longer made. This gives the same answers,
and what others sign with fedmsg passes here, and the other way round.
"""
