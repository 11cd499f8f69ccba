"""What the price book knows of people: nothing but the numbers of who changed it."""

from __future__ import annotations

from common.personal import Fate, Known

KNOWN = (
    Known("prices.Draft", Fate.NOTHING, "Prices; who made it is a number.",
          harmless=frozenset({"by", "reason"})),
    Known("prices.Version", Fate.NOTHING, "Prices; who published it is a number.",
          harmless=frozenset({"by", "reason"})),
)  # fmt: skip
