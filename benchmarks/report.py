"""What the benchmark says: a table with the bounds, a file of numbers and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

Results = Mapping[str, float]


class Bound(NamedTuple):
    """What must hold: a result is at most, or at least, so much."""

    key: str
    limit: float
    at_least: bool = False

    def holds(self, results: Results) -> bool:
        value = results[self.key]
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


BOUNDS = (
    Bound("untriggered_over_decode", 1),
    Bound("untriggered_10x_rules_ratio", 1.3),
    Bound("triggered_over_roundtrip", 10),
    Bound("growth_1m_over_20k", 1.3),
    Bound("history_statements_per_message", 2),
    Bound("tahrir_statements_per_message", 1),
    Bound("statements_per_award", 8),
    Bound("query_all_rss_mb", 50),
    Bound("backfill_messages_per_s", 20_000, at_least=True),
    Bound("hub_over_noop", 0.25, at_least=True),
    Bound("award_latency_p50_ms", 50),
    Bound("award_latency_p99_ms", 250),
)


def table(results: Results) -> bool:
    """Print everything; tell whether all bounds hold of what was measured."""
    bounds = {bound.key: bound for bound in BOUNDS}
    width = max(map(len, results))
    missed = 0
    for key, value in results.items():
        bound = bounds.get(key)
        verdict = ""
        if bound is not None:
            holds = bound.holds(results)
            missed += not holds
            verdict = f"{bound!s:<14} {'ok' if holds else 'MISSED'}"
        print(f"  {key:<{width}}  {shown(value):>10}  {verdict}".rstrip())
    left_out = [bound.key for bound in BOUNDS if bound.key not in results]
    print(f"\n{missed} bounds missed" + (f"; not measured: {', '.join(left_out)}" * bool(left_out)))
    return not missed and not left_out


def shown(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def write(results: Results, path: Path) -> None:
    """Write the numbers, without digits that mean nothing."""
    rounded = {key: float(f"{value:.4g}") for key, value in results.items()}
    path.write_text(json.dumps(rounded, indent=2) + "\n", encoding="utf-8")


def plot(results: Results, sizes: Mapping[str, int], path: Path) -> None:
    """Draw what a message costs against the length of the history."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same numbers are to give the same file.
    mpl.rcParams["svg.hashsalt"] = "fedbadges"
    from matplotlib import pyplot

    lengths = list(sizes.values())
    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    for key, label, style in (
        ("cold_p99_ms", "asked the first time, 99th percentile", "^:"),
        ("cold_mean_ms", "asked the first time, mean", "s:"),
        ("triggered_ms", "warm, mean", "o-"),
    ):
        axes.plot(lengths, [results[f"{key}_{name}"] for name in sizes], style, label=label)
    axes.axhline(
        results["roundtrip_ms"],
        color="grey",
        linestyle="--",
        label="a round trip to the database",
    )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="past messages",
        ylabel="ms for a message that triggers",
        title="Cost of a message against the length of the history",
    )
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
