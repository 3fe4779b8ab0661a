"""Metrics that are counted as things happen, in whichever package they happen.

Nothing here is on the way of a message that triggers no rule. All else that is published, such as
the funnel of a rule, is read when somebody asks for the metrics.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

# When a series began says nothing that its process's start does not, and doubles their number.
disable_created_metrics()  # type: ignore[no-untyped-call]

#: The metrics below; those of the process are in no other registry.
REGISTRY = CollectorRegistry()

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)

SENT_TO_AWARD = Histogram(
    "fedbadges_sent_to_award_seconds",
    "Time from when a message was sent until the award because of it was committed.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
RECEIVED_TO_AWARD = Histogram(
    "fedbadges_received_to_award_seconds",
    "Time from when the daemon had a message until the award because of it was committed.",
    buckets=_SECONDS,
    registry=REGISTRY,
)
BATCH_SIZE = Histogram(
    "fedbadges_batch_messages",
    "Messages that triggered rules and are handled together.",
    buckets=(1, 2, 5, 10, 20, 50),
    registry=REGISTRY,
)
MATCHED = Counter(
    "fedbadges_messages_matched",
    "Messages that triggered a rule and name somebody.",
    registry=REGISTRY,
)
SHED = Counter(
    "fedbadges_messages_shed",
    "Messages that did not fit into memory, and are read back from datanommer.",
    registry=REGISTRY,
)
REFUSED = Counter(
    "fedbadges_signatures_refused",
    "Messages without a valid signature, by why it is not.",
    ["reason"],
    registry=REGISTRY,
)
RETRIES = Counter(
    "fedbadges_retries",
    "What was tried again, as a database or service was away, or as it failed.",
    ["cause"],
    registry=REGISTRY,
)
OUTAGES = Counter(
    "fedbadges_outages",
    "Outages of databases and services that the daemon had to wait for.",
    registry=REGISTRY,
)
CACHE_LOOKUPS = Counter(
    "fedbadges_cache_lookups",
    "Questions to a cache, by whether it had the answer.",
    ["cache", "result"],
    registry=REGISTRY,
)
QUERIES = Histogram(
    "fedbadges_database_query_seconds",
    "Time until a database began to answer a statement.",
    ["database", "statement"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30),
    registry=REGISTRY,
)

# A series that is there from the beginning shows its first increase, too.
OUTAGE_RETRIES, FAILURE_RETRIES = RETRIES.labels("outage"), RETRIES.labels("failure")


class CacheLookups:
    """Counts what a cache is asked."""

    def __init__(self, cache: str) -> None:
        self._results = (CACHE_LOOKUPS.labels(cache, "miss"), CACHE_LOOKUPS.labels(cache, "hit"))

    def count(self, hit: bool, number: int = 1) -> None:
        """Count some answers, which the cache had or not."""
        if number:
            self._results[hit].inc(number)
