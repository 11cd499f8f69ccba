"""What a vendor's refusal becomes for a member (contract 3.6).

A vendor's 401, 402, 403, 409 and 429 are about the operator's account with it, and the node
client would show them as the member's own fault; its words about accounts never leave here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from common.errors import (
    ContentBlocked,
    PlatformError,
    ProviderDisabled,
    ProviderError,
    ProviderRateLimited,
    ProviderTimeout,
)

if TYPE_CHECKING:
    from proxy.catalogue import Vendor

NOTHING_CHARGED = "Nothing was charged."
SENTENCE_LIMIT = 400
UNKNOWN_STATUSES = frozenset((408, 504, 520, 522, 524))
"""A gateway gave up: the work behind it may go on."""
MODERATED = re.compile(r"\b(moderated|moderation|safety)\b", re.I)
"""As a word: a complaint about the field `safety_tolerance` is none about the content."""


class ProviderRejected(PlatformError):
    """The vendor did not take the input; the status is the vendor's own."""

    code = "provider_rejected"

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status  # type: ignore[misc]


def refusal(vendor: Vendor, status: int, body: bytes, retry_after: str) -> PlatformError:
    """Return what the member is told about a vendor's answer of 300 or more."""
    name = vendor.display
    if status in UNKNOWN_STATUSES:
        return lost(vendor)
    if status in (401, 402, 403):
        return ProviderDisabled(
            f"{name} does not serve this platform's account at the moment. {NOTHING_CHARGED} "
            "Please tell the operator of this platform."
        )
    if status == 429:
        seconds = retry_after if retry_after.isdigit() and len(retry_after) < 5 else "5"
        return ProviderRateLimited(
            f"{name} is busy. {NOTHING_CHARGED} Please try again in a moment.",
            headers={"Retry-After": seconds},
        )
    if 400 <= status < 500:
        said = _said(vendor, body)
        if MODERATED.search(said):
            # The frontend looks for this sentence anywhere in what the node shows (contract 3.3).
            return ContentBlocked(
                f"Prompt or Initial Image failed the safety checks. {name} says: {said}"
            )
        sentence = f"{name} did not accept the request" + (f": {said}" if said else ".")
        return ProviderRejected(sentence, 422 if status == 409 else status)
    return ProviderError(f"{name} failed (status {status}). {NOTHING_CHARGED}")


def unreachable(vendor: Vendor) -> ProviderError:
    """Return what it becomes that no connection came about."""
    return ProviderError(f"{vendor.display} cannot be reached right now. {NOTHING_CHARGED}")


def lost(vendor: Vendor) -> ProviderTimeout:
    """Return what it becomes that nobody knows whether the vendor did the work."""
    return ProviderTimeout(
        f"{vendor.display} did not answer in time. You are not charged for a result that you "
        "did not get."
    )


def unreadable(vendor: Vendor) -> ProviderError:
    """Return what a success that is none becomes: not in the form that the vendor documents."""
    return ProviderError(f"{vendor.display} gave an answer that is not a result. {NOTHING_CHARGED}")


def _said(vendor: Vendor, body: bytes) -> str:
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    said = vendor.says(parsed) if isinstance(parsed, dict) else ""
    secret = vendor.key()
    # It becomes a row's text, too, which cannot hold a NUL.
    return " ".join(said.replace(secret, "").replace("\x00", " ").split())[:SENTENCE_LIMIT]
