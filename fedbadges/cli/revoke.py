"""``fedbadges revoke``: take a badge away from somebody."""

import click

from fedbadges.cli.change import Change, unknown_badge, with_change
from fedbadges.cli.deployment import HISTORY, RULES

_EPILOG = """\b
Examples:
  fedbadges revoke alice gardener-i --reason "the rule counted merges"
  fedbadges revoke alice gardener-i --reason "see the list" --dry-run

\b
Exit codes: 0 if it is gone, 1 if alice does not hold it, 2 if the command
cannot run.
"""


@click.command(epilog=_EPILOG)
@with_change(HISTORY, RULES)
def revoke(change: Change) -> None:
    """Revoke the badge with the id BADGE from USER, and adjust the ranks.

    Nothing is published on the bus. Beware: if a rule still awards it, USER gets the badge again
    with the next message that triggers the rule.
    """
    known = change.tahrir.badges()
    if change.badge not in known:
        raise unknown_badge(change.badge, known)
    if change.dry_run:
        revoked = bool(change.tahrir.holdings([change.user], [change.badge]).held)
    else:
        person_id = change.tahrir.revoke(change.badge, change.user)
        revoked = person_id is not None
        if person_id is not None:
            change.log("Revoked badge")
            change.adjust_ranks(person_id)
    change.report("revoked" if revoked else "not-held")
