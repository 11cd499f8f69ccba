"""What `/metrics` tells Prometheus. Gauges that the database knows are read from it at scrape."""

from __future__ import annotations

import functools

from prometheus_client import Counter, Histogram

BATCH_SIZE = Histogram(
    "platform_batch_size",
    "Asks per statement",
    ["lane"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
REFUSALS = Counter("platform_refusals_total", "Calls refused before the vendor", ["reason"])
OUTCOMES = Counter(
    "platform_vendor_outcomes_total", "How vendors' calls ended", ["vendor", "outcome"]
)
SETTLE_LAG = Histogram(
    "platform_settle_seconds",
    "From the vendor's answer to the durable settlement",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30),
)
UNMEASURED = Counter(
    "platform_unmeasured_total",
    "Files whose length, frames or pixels decide a price and could not be read",
    ["vendor", "which"],
)
SHORTFALLS = Counter("platform_shortfalls_total", "Calls that cost more than was held")
JOINED = Counter("platform_joined_total", "Repeats answered from an earlier call", ["how"])


@functools.lru_cache(maxsize=1024)
def _outcome(vendor: str, outcome: str) -> Counter:
    """Return the counter of that pair; looking it up by labels costs more than counting."""
    return OUTCOMES.labels(vendor, outcome)


def outcome(vendor: str, outcome: str) -> None:
    """Count how a vendor's call ended."""
    _outcome(vendor, outcome).inc()
