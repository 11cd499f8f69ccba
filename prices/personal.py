"""What prices and vendors' bills know of people: nothing but the numbers of who changed them."""

from __future__ import annotations

from common.personal import Fate, Known

KNOWN = (
    Known("prices.Draft", Fate.NOTHING, "Prices; who made it is a number.",
          harmless=frozenset({"by", "reason"})),
    Known("prices.Version", Fate.NOTHING, "Prices; who published it is a number.",
          harmless=frozenset({"by", "reason"})),
    Known("prices.Bill", Fate.NOTHING, "A vendor's list of what it asked of the operator.",
          harmless=frozenset({"by", "reason"})),
    Known("prices.BilledCall", Fate.NOTHING, "A vendor's request ids, beside the ids of calls."),
    Known("prices.BilledDay", Fate.NOTHING, "Sums of what a vendor asked."),
)  # fmt: skip
