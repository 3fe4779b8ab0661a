"""What the commands say of a badge that was revoked, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedbadges.util.text import printable

if TYPE_CHECKING:
    from fedbadges.tahrir.holdings import Revocation

#: How to have the table, where tahrir's database lacks it.
NO_TABLE = (
    "tahrir's database lacks the table fedbadges_revocations: 'badges.create_tables': True creates "
    "it at the daemon's next start; docs/operations.rst has the statement"
)


def describe_revocation(revocation: Revocation) -> str:
    """Return when, by whom and why a badge was revoked."""
    for_good = " for good" if revocation.for_good else ""
    when = f"{revocation.revoked_on:%Y-%m-%d %H:%M:%S} UTC"
    why = printable(f"{revocation.operator}: {revocation.reason}")
    return f"revoked{for_good} on {when} by {why}"


def revocation_data(revocation: Revocation | None) -> dict[str, Any] | None:
    """Return a revocation for JSON."""
    if revocation is None:
        return None
    return {
        "on": f"{revocation.revoked_on.isoformat()}Z",
        "for_good": revocation.for_good,
        "operator": printable(revocation.operator),
        "reason": printable(revocation.reason),
    }
