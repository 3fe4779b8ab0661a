"""Whether a daemon is ready: it has started, can award, and is not too far behind."""

from collections.abc import Mapping
from typing import Any


def reasons_not_ready(report: Mapping[str, Any], max_lag: float) -> list[str]:
    """Return why a daemon with this report is not ready; nothing if it is.

    It may be ``max_lag`` seconds behind.
    """
    reasons = [] if report["state"] == "running" else [f"the daemon is {report['state']}"]
    troubles = dict(report["databases"])
    troubles |= {"bus": report["bus"]["trouble"], "signatures": report["signatures"]["trouble"]}
    reasons += [f"{name}: {trouble}" for name, trouble in troubles.items() if trouble]
    lag = report["lag"]
    if lag is None:
        reasons.append("catching up has not begun")
    elif lag > max_lag:
        reasons.append(f"{lag:.0f} s behind")
    return reasons
