"""Nobody but us is told of a result: what would have a vendor call somebody else is left out.

A result is given once it is paid for. A vendor that brings it to an address in the request would
give it before that, and for nothing where the job then fails for us: some answer such a request in
another shape, in which there is nothing to poll. No node sends such a field; libraries do.
"""

from __future__ import annotations

from typing import Any

INSIDE, BEGINNINGS = ("webhook", "callback"), ("notify", "notification")
"""What vendors call it: `webhook_url`, `callBackUrl`, `notify_hook`, `result_webhook` ..."""


def left_out(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return a body without such fields, also of the objects in it; None if it has none.

    Lists stay as they are: messages and tools of a language model may name anything.
    """
    found = False
    kept = {}
    for name, value in body.items():
        inner = left_out(value) if isinstance(value, dict) else None
        if _calls(name):
            found = True
        else:
            found = found or inner is not None
            kept[name] = value if inner is None else inner
    return kept if found else None


def _calls(name: str) -> bool:
    told = name.lower().replace("_", "").replace("-", "")
    return told.startswith(BEGINNINGS) or any(word in told for word in INSIDE)
