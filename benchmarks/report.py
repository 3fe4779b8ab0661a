"""Reports the results: a table with bounds, a JSON file and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

Results = Mapping[str, float]


class Bound(NamedTuple):
    """A bound that a result must not exceed or fall below."""

    key: str
    limit: float
    at_least: bool = False
    #: Whether the quick run measures it, too.
    quick: bool = True
    #: Whether it depends on the set of rules.
    by_rules: bool = True
    #: Whether it can be measured only where RabbitMQ is installed.
    broker: bool = False

    def holds(self, results: Results) -> bool:
        """Return True if it was measured, and is within the bound."""
        value = results.get(self.key)
        if value is None:
            return False
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


BOUNDS = (
    Bound("untriggered_over_decode", 1),
    Bound("untriggered_10x_rules_ratio", 1.3),
    Bound("triggered_over_roundtrip", 3.5),
    Bound("growth_1m_over_20k", 1.3, quick=False),
    Bound("restarted_over_warm", 2),
    Bound("history_statements_per_message", 2),
    Bound("tahrir_statements_per_message", 0.3),
    Bound("statements_per_award", 8),
    Bound("query_all_rss_mb", 50),
    Bound("backfill_over_decode", 8),
    Bound("warmup_over_decode", 6.67, quick=False),
    Bound("preview_distinct_over_count", 2, by_rules=False),
    Bound("preview_growth", 12, quick=False, by_rules=False),
    Bound("reload_over_decode", 50_000),
    Bound("hub_over_noop", 0.45, at_least=True),
    Bound("award_latency_p50_ms", 30),
    Bound("award_latency_p99_ms", 150),
    Bound("fm_cpu_over_noop", 1.5, by_rules=False, broker=True),
    Bound("fm_2_over_1", 1.5, at_least=True, by_rules=False, broker=True),
    Bound("fm_4_over_2", 1, at_least=True, by_rules=False, broker=True),
)

#: The key that says that there was no RabbitMQ, so that what needs it is not missed.
WITHOUT_BROKER = "without_rabbitmq"


def table(results: Results, *, quick: bool) -> bool:
    """Print all results; return True if they are measured and within their bounds.

    The bounds hold with each set of rules that was measured, if they depend on it.
    """
    suffixes = [suffix for suffix in ("", "_corpus") if f"rules{suffix}" in results]
    bounds = {
        f"{bound.key}{suffix}": bound._replace(key=f"{bound.key}{suffix}")
        for suffix in suffixes
        for bound in BOUNDS
        if (bound.quick or not quick) and (bound.by_rules or not suffix)
        if not (bound.broker and WITHOUT_BROKER in results)
    }
    keys = [*results, *(key for key in bounds if key not in results)]
    width = max(map(len, keys))
    missed = 0
    for key in keys:
        value = shown(results[key]) if key in results else "none"
        verdict = ""
        if key in bounds:
            holds = bounds[key].holds(results)
            missed += not holds
            verdict = f"{bounds[key]!s:<14} {'ok' if holds else 'MISSED'}"
        print(f"  {key:<{width}}  {value:>10}  {verdict}".rstrip())
    print(f"\n{missed} bounds missed")
    return not missed


def shown(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


#: The block of the documentation that is made from the results.
_BEGIN, _END = ".. The benchmark writes what follows.\n\n", ".. So far what the benchmark writes.\n"

_SHARES = {
    "triggers": "the triggers, and whom the message names",
    "holdings": "tahrir: who holds the badges, who opted out",
    "stored": "datanommer: whether the message is stored, and what else was lately",
    "history": "the criteria",
    "rest": "everything else",
}


def document(results: Results, path: Path) -> None:
    """Replace the figures in the documentation."""
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(_BEGIN)
    path.write_text(f"{before}{_BEGIN}{figures(results)}{_END}{rest.split(_END)[1]}", "utf-8")


def figures(results: Results) -> str:
    """Return the figures for the documentation, in reStructuredText."""
    rows = [
        ("reading a message, ``json.loads``", f"{shown(results['decode_us'])} µs"),
        ("a message that concerns no rule", f"{shown(results['untriggered_us'])} µs"),
        ("a bare round trip to the database", f"{shown(results['roundtrip_ms'])} ms"),
        ("a message that triggers, over a million", f"{shown(results['triggered_ms_1m'])} ms"),
        ("the same, the first time, mean", f"{shown(results['cold_mean_ms_1m'])} ms"),
        ("the same, the first time, 99th percentile", f"{shown(results['cold_p99_ms_1m'])} ms"),
    ]
    if "restarted_ms_1m" in results:
        after = (
            "the same, the first time after a restart",
            f"{shown(results['restarted_ms_1m'])} ms",
        )
        rows.insert(4, after)
    if "award_latency_p50_ms" in results:
        latency = (shown(results[f"award_latency_{each}_ms"]) for each in ("p50", "p99"))
        rows += [
            (
                "an award after its message, median and 99th percentile",
                f"{' and '.join(latency)} ms",
            ),
            ("messages a second, through the hub", shown(results["hub_messages_per_s"])),
        ]
    profile = [(what, f"{results[f'profile_{share}']:.0%}") for share, what in _SHARES.items()]
    profile.append(("in statements, of all of these", f"{results['profile_database']:.0%}"))
    return (
        f"{_grid('What', 'takes', rows)}\n"
        "Of a message that triggers, the time goes:\n\n"
        f"{_grid('Into', 'share', profile)}\n"
    )


def _grid(first: str, second: str, rows: list[tuple[str, str]]) -> str:
    widths = [max(map(len, column)) for column in zip((first, second), *rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = [f"{left:<{widths[0]}}  {right}" for left, right in ((first, second), *rows)]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule, ""])


def write(results: Results, path: Path) -> None:
    """Write the results as JSON."""
    path.write_text(json.dumps(dict(results), indent=2) + "\n", encoding="utf-8")


def rounded(results: Results) -> Results:
    """Round to the digits that matter."""
    return {key: float(f"{value:.4g}") for key, value in results.items()}


def plot(results: Results, sizes: Mapping[str, int], path: Path) -> None:
    """Plot the cost of a message against the length of the history."""
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
        ("restarted_ms", "asked the first time after a restart, mean", "v--"),
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
