"""Rules without a recipient, where no plugin names the people that a message is about."""

from __future__ import annotations

from collections.abc import Iterator

from fedbadges.accounts.usernames import has_no_candidates
from fedbadges.lint.findings import Finding
from fedbadges.rules.rule import Rule


def no_plugin(rule: Rule) -> Iterator[Finding]:
    """Find a rule that names nobody; the daemon logs the same at its start."""
    if has_no_candidates(rule):
        yield Finding(
            rule.place,
            "no-plugin",
            "without a 'recipient' a plugin for fedmsg.meta must say who gets the badge, and none "
            "is installed here",
        )
