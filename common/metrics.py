"""What `/metrics` tells Prometheus. Gauges that the database knows are read from it at scrape."""

from __future__ import annotations

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
SHORTFALLS = Counter("platform_shortfalls_total", "Calls that cost more than was held")
JOINED = Counter("platform_joined_total", "Repeats answered from an earlier call", ["how"])
