"""Google: Gemini's texts and pictures by Vertex AI; google_interactions.py, google_veo.py: videos.

The client names the model in the path and no verb; project, place and verb are added here. A limit
of output tokens is always sent: see google_prices.py. A blocked prompt is a 200 without candidates,
a blocked result a candidate without content: neither is charged.
Source: google-genai 3.6.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from proxy.catalogue import Operation, Vendor
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.vendors import google_interactions, google_veo
from proxy.vendors.google_account import GLOBAL, ServiceAccountOrKey, model_url
from proxy.vendors.google_files import BASE, FILES, GEMINI, INSIDE, files_of
from proxy.vendors.google_prices import (
    VERSION,
    Generated,
    model_of,
    parts_of,
    request_of,
    usage_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.credentials import Account
    from proxy.dialect import Said

# --- generateContent ----------------------------------------------------------------------------


def _locate(vendor: Vendor, account: Account, parts: Mapping[str, str]) -> str:
    return model_url(vendor, account, f"{model_of(parts).upstream}:generateContent")


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    body = request_of(asked)
    body["generationConfig"] = {**body["generationConfig"], "maxOutputTokens": inputs["limit"]}
    return body


# --- What Google says ---------------------------------------------------------------------------

BLOCKED = frozenset(
    ("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "MODEL_ARMOR",
     "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION")
)  # fmt: skip
ENDED = frozenset(("STOP", "MAX_TOKENS"))
"""With nothing to show: its tokens were thought all the same."""
WORDS = {
    "UNAUTHENTICATED": Verdict.OPERATOR,
    "PERMISSION_DENIED": Verdict.OPERATOR,
    "FAILED_PRECONDITION": Verdict.OPERATOR,
    "DEADLINE_EXCEEDED": Verdict.UNKNOWN,
}
BILLING = re.compile(r"\b(billing|plan)\b", re.I)
BAD_KEY = re.compile(r"\bAPI key\b", re.I)
CONTENT = re.compile(r"\b(content|safety|blocked|polic(y|ies)|prohibited)\b", re.I)
PROJECT = re.compile(r"projects/[^/\s'\"`]+")


def _error(body: Any) -> dict[str, Any]:
    """Return the error of a body, which may stand in a list of one."""
    held = body[0] if isinstance(body, list) and body else body
    error = held.get("error") if isinstance(held, dict) else None
    return error if isinstance(error, dict) else {}


def _judge(said: Said) -> Judged | None:
    """Return what an answer means: an error by its word, a 200 by what it holds."""
    error, delivers = _error(said.json), said.status in DELIVERING
    if error:
        return _judge_error(error) or (Judged(Verdict.UNKNOWN) if delivers else None)
    if not delivers:
        return None
    answer = said.object
    if "candidates" in answer or "promptFeedback" in answer:
        return _judge_candidates(answer)
    if "status" in answer:
        return _judge_interaction(answer)
    if "name" in answer:  # A job of Veo's.
        return None
    return Judged(Verdict.UNKNOWN)


def _judge_error(error: dict[str, Any]) -> Judged | None:
    word, sentence = f"{error.get('status')}", f"{error.get('message')}"
    if BAD_KEY.search(sentence) or word in WORDS:
        return Judged(WORDS.get(word, Verdict.OPERATOR))
    if word == "RESOURCE_EXHAUSTED":
        return Judged(Verdict.OPERATOR if BILLING.search(sentence) else Verdict.BUSY)
    if word == "NOT_FOUND":
        says = "this model is not served to this platform (any more). Please choose another"
        return Judged(Verdict.REJECTED, says)
    return None


def _judge_candidates(answer: dict[str, Any]) -> Judged:
    if parts_of(answer):
        return Judged(Verdict.DONE)
    reasons = _reasons(answer)
    if _feedback(answer).get("blockReason") or reasons & BLOCKED:
        return Judged(Verdict.MODERATED)
    if reasons and reasons <= ENDED:
        return Judged(Verdict.DONE)
    return Judged(Verdict.FAILED, "it made nothing of this request")


def _feedback(answer: Any) -> dict[str, Any]:
    found = answer.get("promptFeedback") if isinstance(answer, dict) else None
    return found if isinstance(found, dict) else {}


def _reasons(answer: Any) -> set[str]:
    candidates = answer.get("candidates") if isinstance(answer, dict) else None
    listed = candidates if isinstance(candidates, list) else []
    return {f"{each.get('finishReason')}".upper() for each in listed if isinstance(each, dict)}


def _judge_interaction(answer: dict[str, Any]) -> Judged:
    status = answer["status"]
    if status == "completed":
        return Judged(Verdict.DONE)
    if status == "budget_exceeded":
        return Judged(Verdict.OPERATOR)
    if status not in ("failed", "incomplete", "cancelled"):
        return Judged(Verdict.UNKNOWN)
    blocked = CONTENT.search(_says(answer))
    return Judged(Verdict.MODERATED if blocked else Verdict.FAILED)


def _says(body: Any) -> str:
    """Return the sentence of an error, or of what was blocked; no project is named."""
    errors = body.get("errors") if isinstance(body, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    found = (
        _error(body).get("message")
        or _feedback(body).get("blockReasonMessage")
        or _feedback(body).get("blockReason")
        or (first.get("message") if isinstance(first, dict) else None)
        or " ".join(sorted(_reasons(body) & BLOCKED))
    )
    return PROJECT.sub("projects/-", found) if isinstance(found, str) else ""


GOOGLE = Vendor(
    name="vertexai",
    display="Google",
    base_url=GLOBAL,
    bases={BASE: GEMINI},
    hosts=("googleapis.com",),
    credential=ServiceAccountOrKey(),
    operations=(
        Operation(
            "POST",
            "vertexai/gemini/{model}",
            "/v1/publishers/google/models/{model}:generateContent",
            Generated(),
            locate=_locate,
            uses=lambda asked: files_of(asked.body, asked.along),
            prepare=_prepare,
            reports=lambda answer: bool(usage_of(answer)),
            price_version=VERSION,
            title="Google Gemini",
        ),
        *google_interactions.OPERATIONS,
        *google_veo.OPERATIONS,
    ),
    along=dict.fromkeys(FILES, INSIDE),
    judge=_judge,
    says=_says,
)
