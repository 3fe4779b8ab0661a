"""``fedbadges award`` and ``fedbadges revoke``: badges given and taken by hand."""
