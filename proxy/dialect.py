"""What a vendor's answer means, and what a member reads of it (contract 3.6).

A vendor's 401, 402, 403, 409 and 429 are about the operator's account with it, and the node
client would show them as the member's own fault; its words about accounts never leave here. A
status that clients retry by themselves is given only where the vendor certainly did no work.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from common import strict_json
from common.errors import (
    ContentBlocked,
    OutcomeUnknown,
    PlatformError,
    ProviderDisabled,
    ProviderError,
    ProviderRateLimited,
)
from common.told import kept

if TYPE_CHECKING:
    from proxy.catalogue import Vendor
    from proxy.http import Headers

NOTHING_CHARGED = "Nothing was charged."
UNSERVED_HERE = kept(
    "%(vendor)s does not serve this platform's account at the moment. Nothing was charged. Please "
    "tell the operator of this platform."
)
BUSY = kept("%(vendor)s is busy. Nothing was charged. Please try again in a moment.")
NOT_TAKEN = kept("%(vendor)s did not accept the request.")
NOT_TAKEN_SAYS = kept("%(vendor)s did not accept the request: %(says)s")
FAILED = kept("%(vendor)s failed (status %(status)s). Nothing was charged.")
UNREACHABLE = kept("%(vendor)s cannot be reached right now. Nothing was charged.")
SENTENCE_LIMIT = 400
DELIVERING = frozenset((200, 201, 202, 203))
"""A 204 or 205 holds nothing, and a 206 a part of something."""
UNKNOWN_STATUSES = frozenset((303, 408, 504, 520, 522, 524))
"""A gateway gave up: the work behind it may go on. A 303 says that what it made is elsewhere."""
MODERATED = re.compile(r"\b(moderated|moderation|safety)\b", re.I)
"""As a word: a complaint about the field `safety_tolerance` is none about the content."""
ACCOUNT = re.compile(
    r"\b(api[ -]?keys?|credits?|balance|billing|quota|subscription|account|payment|invoice"
    r"|insufficient|arrears|unauthori[sz]ed)\b",
    re.I,
)
"""Words that are about the operator's account, wherever a vendor says them."""


class Verdict(enum.Enum):
    """What an answer of a vendor means."""

    DONE = "done"
    """It is a result, or a job was taken."""
    RUNNING = "running"
    REJECTED = "rejected"
    """The input was not accepted."""
    MODERATED = "moderated"
    FAILED = "failed"
    """A job ended without a result."""
    OPERATOR = "operator"
    """The operator's account is not served: its key, its credit, its plan."""
    BUSY = "busy"
    """Too much at once for the operator's account; nothing was done."""
    BROKEN = "broken"
    """The vendor failed before any work."""
    UNKNOWN = "unknown"
    """Nobody knows whether it did the work."""
    MISSING = "missing"
    """It knows no such job: within its first minute that means not yet."""


UNSERVED = (Verdict.OPERATOR, Verdict.BUSY)
"""What is about the account, before any work: under another the same may be served."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, with the vendor's words where a member may read them."""

    verdict: Verdict
    says: str = ""


@dataclass(slots=True)
class Said:
    """What a vendor said: one answer, read whole."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Headers | tuple[()] = ()
    retry_after: str = ""
    _json: Any = NotImplemented

    @property
    def json(self) -> Any:
        """Return what the body says as JSON; None if it is none, or nested beyond all use."""
        if self._json is NotImplemented:
            try:
                self._json = orjson.loads(self.body)
            except orjson.JSONDecodeError:
                self._json = None
            if isinstance(self._json, (dict, list)) and strict_json.is_deep(self.body, self._json):
                self._json = None
        return self._json

    @property
    def object(self) -> dict[str, Any]:
        """Return what the body says as a JSON object; an empty one if it is none."""
        parsed = self.json
        return parsed if isinstance(parsed, dict) else {}


def judge(vendor: Vendor, said: Said) -> Judged:
    """Return what an answer means: by the vendor's own words, else by its status."""
    judged = vendor.judge(said) or by_status(said)
    if judged.verdict in (Verdict.REJECTED, Verdict.MODERATED) and not judged.says:
        judged = replace(judged, says=_sentence(vendor, said))
    if judged.verdict is Verdict.REJECTED and MODERATED.search(judged.says):
        return replace(judged, verdict=Verdict.MODERATED)
    return judged


def nothing(vendor: Vendor, said: Said) -> Judged:
    """Return what an answer means that says it is fine and holds no result."""
    return Judged(Verdict.FAILED, _sentence(vendor, said) or "it made nothing of this request")


def by_status(said: Said) -> Judged:
    """Return what a status means by itself."""
    status = said.status
    if status in DELIVERING:
        return Judged(Verdict.DONE if said.json is not None else Verdict.UNKNOWN)
    if not 300 <= status < 600 or status in UNKNOWN_STATUSES:
        return Judged(Verdict.UNKNOWN)
    if status in (401, 402, 403):
        return Judged(Verdict.OPERATOR)
    if status == 429:
        return Judged(Verdict.BUSY)
    return Judged(Verdict.REJECTED if 400 <= status < 500 else Verdict.BROKEN)


class ProviderRejected(PlatformError):
    """The vendor did not take the input; the status is the vendor's own."""

    code = "provider_rejected"

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.status = status  # type: ignore[misc]


def refusal(vendor: Vendor, judged: Judged, said: Said, *, is_own: bool = False) -> PlatformError:
    """Return what the member is told of an answer that is no success, in cleaned words.

    `is_own`: it was asked under the workspace's own account.
    """
    name, says = vendor.display, clean(vendor, judged.says)
    match judged.verdict:
        case Verdict.OPERATOR if is_own:
            return ProviderDisabled(
                f"{name} does not serve your workspace's own account (status {said.status}). "
                f"{NOTHING_CHARGED} Look at its credit and its key there, give the key anew, or "
                "remove the account."
            )
        case Verdict.OPERATOR:
            return ProviderDisabled(UNSERVED_HERE % {"vendor": name})
        case Verdict.BUSY:
            seconds = said.retry_after
            return ProviderRateLimited(
                BUSY % {"vendor": name},
                headers={"Retry-After": seconds if re.fullmatch(r"\d{1,4}", seconds) else "5"},
            )
        case Verdict.MODERATED:
            # The frontend looks for this sentence anywhere in what the node shows (contract 3.3).
            told = f" {name} says: {says}" if says else ""
            return ContentBlocked(f"Prompt or Initial Image failed the safety checks.{told}")
        case Verdict.REJECTED | Verdict.FAILED | Verdict.MISSING:
            told = NOT_TAKEN_SAYS if says else NOT_TAKEN
            # A 408 or a 409 would be read as something else than the vendor's opinion; above 451
            # are statuses that a vendor made up.
            own = 400 <= said.status < 452 and said.status not in (401, 402, 403, 408, 409, 429)
            return ProviderRejected(
                told % {"vendor": name, "says": says}, said.status if own else 422
            )
    return ProviderError(FAILED % {"vendor": name, "status": said.status})


def unreachable(vendor: Vendor) -> ProviderError:
    """Return what it becomes that no connection came about."""
    return ProviderError(UNREACHABLE % {"vendor": vendor.display})


def lost(vendor: Vendor, held_seconds: int = 0) -> OutcomeUnknown:
    """Return what it becomes that nobody knows whether the vendor did the work.

    `held_seconds`: for how long the amount stays held; 0 where nothing is held (any more).
    """
    held = ""
    if held_seconds:
        minutes = max(1, round(held_seconds / 60))
        held = f" The amount stays held for {minutes} more minute{'s' if minutes > 1 else ''}."
    return OutcomeUnknown(
        f"The answer of {vendor.display} was lost. Nothing is charged unless the work turns out "
        f"to be delivered.{held} Running the node again is a new call."
    )


def _sentence(vendor: Vendor, said: Said) -> str:
    parsed = said.json
    return clean(vendor, vendor.says(parsed)) if parsed is not None else ""


def clean(vendor: Vendor, sentence: str) -> str:
    """Return a vendor's sentence as a member may read it: no secret, no account, one line."""
    if not isinstance(sentence, str) or not sentence or ACCOUNT.search(sentence):
        return ""
    # Our secrets were covered where the answer was read. It becomes a row's text, too, which cannot
    # hold a NUL.
    return " ".join(sentence.replace("\x00", " ").split())[:SENTENCE_LIMIT]


def cleaned(vendor: Vendor, value: Any) -> Any:
    """Return an answer's JSON with every text about the operator's account left out.

    For what a poll says before there is a result, which a node may show whole. Addresses and short
    words stay: they say nothing of an account.
    """
    if isinstance(value, dict):
        return {key: cleaned(vendor, each) for key, each in value.items()}
    if isinstance(value, list):
        return [cleaned(vendor, each) for each in value]
    if isinstance(value, str) and " " in value and ACCOUNT.search(value):
        return "The provider gave a reason that is not shown here."
    return value
