"""A preview as JSON."""

import json
from dataclasses import asdict
from typing import Any

import click

from fedbadges.cli.preview.figures import Distribution
from fedbadges.cli.preview.preview import Earner, Preview


def print_json(preview: Preview) -> None:
    """Print a preview as one object."""
    whole = {
        "badge": preview.badge.id,
        "name": preview.badge.name,
        "path": preview.path,
        "messages": preview.total,
        "read": preview.read,
        "complete": preview.complete,
        "awards": len(preview.earners),
        "earners": [_earner(each) for each in preview.earners],
        "over_time": {
            "unit": preview.over_time.unit,
            "periods": [
                {"period": each.name, "awards": each.awards, "total": each.total}
                for each in preview.over_time.periods
            ],
        },
        "counts": None if preview.counts is None else _counts(preview.counts),
    }
    click.echo(json.dumps(whole, indent=2))


def _earner(earner: Earner) -> dict[str, Any]:
    return asdict(earner) | {"when": f"{earner.when.isoformat()}Z"}


def _counts(counts: Distribution) -> dict[str, Any]:
    return {
        "people": len(counts.peaks),
        "at_least": counts.own,
        "bins": [
            {"from": each.low, "below": each.high, "people": each.people, "awarded": each.awarded}
            for each in counts.bins
        ],
        "thresholds": [asdict(each) for each in counts.thresholds],
        "highest": dict(sorted(counts.peaks.items(), key=lambda item: (-item[1], item[0]))),
    }
