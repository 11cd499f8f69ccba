"""Krea 2: pictures, with pictures of style that are uploaded first.

An upload answers an address that a request then names: who knows it may use it. Webhooks stand in a
header, which is not passed on. Source: the vendor's OpenAPI and its documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from common.money import usd
from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Takes, Vendor
from proxy.credentials import bearer
from proxy.pricing.shapes import Ruled, choice_of, known, one_only
from proxy.vendors.states import States, by_words, id_at, listed, text_at

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "krea-2026-08"
PRICES = {
    "large": ("0.06", "0.065", "0.07"),
    "medium": ("0.03", "0.035", "0.04"),
    "medium-turbo": ("0.015", "0.0175", "0.02"),
}
"""USD of a picture: from a text, with pictures of style, with a moodboard."""


def _price(model: str) -> Ruled:
    def rule(asked: Asked) -> Quote:
        """Price a picture by what it is guided by."""
        one_only(asked.body)
        choice_of(asked.body, "resolution", ("1K",), default="1K")
        styles = len(listed(asked.body, "image_style_references", most=10))
        boards = len(listed(asked.body, "moodboards", most=1))
        plain, styled, boarded = PRICES[model]
        chosen = boarded if boards else styled if styles else plain
        return known(usd(chosen), model=model, styles=styles, moodboards=boards)

    return Ruled(rule)


STATES = States(
    at="status",
    done=("completed",),
    failed=("failed", "cancelled"),
    running=(
        "processing",
        "backlogged",
        "queued",
        "scheduled",
        "sampling",
        "intermediate-complete",
    ),
    results=("result.urls[]",),
    why=("error", "result.error"),
)
_says = text_at("error", "message")


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"job_id": task, "status": word, "created_at": timezone.now().isoformat(), **more}


JOB = Job(
    poll="krea/jobs/{job_id}",
    job_id=id_at("job_id"),
    judge=STATES.judge,
    pending=lambda task: _told(task, "processing"),
    failed=lambda task, why: _told(task, "failed", error=why),
    results=STATES.made,
)


def _submit(model: str) -> Operation:
    path = f"generate/image/krea/krea-2/{model}"
    return Operation(
        "POST",
        f"krea/{path}",
        f"/{path}",
        _price(model),
        Kind.SUBMIT,
        job=JOB,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Krea 2 {model}",
    )


KREA = Vendor(
    name="krea",
    display="Krea",
    base_url="https://api.krea.ai",
    credential=bearer(),
    operations=(
        *(_submit(model) for model in PRICES),
        Operation("POST", "krea/assets", "/assets", kind=Kind.UPLOAD, takes=Takes.FORM),
        Operation(
            "GET",
            "krea/jobs/{job_id}",
            "/jobs/{job_id}",
            kind=Kind.POLL,
            names=Named("path", "job_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": DATA},
    judge=by_words(_says),
    says=_says,
)
