"""OpenAI: responses, pictures, and Sora, which it has withdrawn. Prices: openai_prices.py.

A response is whole in the answer that makes it; the node then asks for it once more by its id,
which must be its workspace's own. Out of credit is a 429 at this vendor. Of the paths clients know,
those of pictures lack the `v1`. Source: the vendor's package 3.57.0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from proxy.along import DATA
from proxy.catalogue import Gives, Job, Kind, Named, Operation, Takes, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.language import Spoken
from proxy.pricing.shapes import Ruled
from proxy.vendors import openai_prices as prices
from proxy.vendors.states import States, id_at, text_at, there

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Asset
    from proxy.dialect import Said

OPERATOR = re.compile(
    r"insufficient_quota|billing|account_deactivated|invalid_api_key|model_not_found"
    r"|invalid_organization|must be verified",
    re.I,
)
BLOCKED = re.compile(r"moderation|content_policy|safety|content_filter|usage polic", re.I)
CODE, SAYS = text_at("error.code", "error.type"), text_at("error.message")


def _judge(said: Said) -> Judged | None:
    """Return what an answer means: by its error's code, or by a response's status."""
    told = f"{CODE(said.json)} {SAYS(said.json)}"
    if said.status not in DELIVERING:
        if OPERATOR.search(told):
            return Judged(Verdict.OPERATOR)
        return Judged(Verdict.MODERATED) if BLOCKED.search(told) else None
    answer = said.object
    if isinstance(answer.get("data"), list) or answer.get("object") == "video":
        return None
    match answer.get("status"):
        case "completed" | "incomplete":
            return None
        case "failed" | "cancelled":
            return Judged(Verdict.MODERATED if BLOCKED.search(told) else Verdict.FAILED)
    return Judged(Verdict.UNKNOWN)


# --- Responses ----------------------------------------------------------------------------------


def _continued(asked: Asked) -> Iterable[Asset]:
    found = asked.body.get("previous_response_id")
    return [("response", asked.text("previous_response_id"))] if found else []


def _made(answer: Any) -> Iterable[Asset]:
    found = answer.get("id") if isinstance(answer, dict) else None
    return [("response", found)] if isinstance(found, str) and 0 < len(found) <= 1000 else []


def _response(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with its limit; kept, for it is asked for again; of the usual tier."""
    body = {name: value for name, value in asked.body.items() if name != "usage"}
    sent = {"max_output_tokens": inputs["limit"], "store": True, "service_tier": "default"}
    return {**body, **sent}


# --- Pictures -----------------------------------------------------------------------------------


def _picture(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a request without the field that the models of today refuse."""
    if "response_format" not in asked.body or inputs["model"] in prices.DALL_E:
        return None
    return {name: value for name, value in asked.body.items() if name != "response_format"}


def _has_usage(answer: Any) -> bool:
    return prices.used(answer) is not None


def _paint(path: str, title: str, price: prices.Painted) -> Operation:
    return Operation(
        "POST",
        f"openai/images/{path}",
        f"/v1/images/{path}",
        price,
        takes=Takes.FORM if price.files else Takes.JSON,
        sends_form=bool(price.files),
        prepare=_picture,
        reports=_has_usage,
        answer_limit_bytes=128 << 20,
        delivers=there("data[].url", "data[].b64_json"),
        price_version=prices.VERSION,
        title=f"OpenAI Image {title}",
    )


# --- Sora ---------------------------------------------------------------------------------------

VIDEO = States(
    at="status",
    done=("completed",),
    failed=("failed",),
    running=("queued", "in_progress"),
    results=("id",),  # Its file is at its own address, by its id.
    why=("error.code", "error.message"),
    blocked=BLOCKED,
)
SORA = Job(
    poll="openai/v1/videos/{id}",
    job_id=id_at("id"),
    judge=VIDEO.judge,
    pending=lambda job: {"id": job, "object": "video", "status": "in_progress", "progress": 0},
    failed=lambda job, why: {
        "id": job,
        "object": "video",
        "status": "failed",
        "error": {"code": "failed", "message": why},
    },
    interval_seconds=3.0,
    kept_seconds=24 * 3600,
)
OPENAI = Vendor(
    name="openai",
    display="OpenAI",
    base_url="https://api.openai.com",
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            "openai/v1/responses",
            "/v1/responses",
            Spoken(prices.response, prices.used, prices.shown),
            uses=_continued,
            makes=_made,
            prepare=_response,
            reports=_has_usage,
            timeout_seconds=3000,
            delivers=there("output[]", "usage.output_tokens"),
            price_version=prices.VERSION,
            title="OpenAI ChatGPT",
        ),
        Operation(
            "GET",
            "openai/v1/responses/{response_id}",
            "/v1/responses/{response_id}",
            kind=Kind.RESULT,
            names=Named("path", "response_id"),
            scope="response",
            of_call=True,
            timeout_seconds=60,
        ),
        _paint("generations", "Generation", prices.Painted()),
        _paint("edits", "Edit", prices.Painted(files=("image", "image[]", "mask"))),
        Operation(
            "POST",
            "openai/v1/videos",
            "/v1/videos",
            Ruled(prices.video),
            Kind.SUBMIT,
            takes=Takes.FORM,
            sends_form=True,
            job=SORA,
            timeout_seconds=300,
            price_version=prices.VERSION,
            title="OpenAI Sora 2",
        ),
        Operation(
            "GET",
            "openai/v1/videos/{id}",
            "/v1/videos/{id}",
            kind=Kind.POLL,
            names=Named("path", "id"),
            timeout_seconds=60,
        ),
        Operation(
            "GET",
            "openai/v1/videos/{id}/content",
            "/v1/videos/{id}/content",
            kind=Kind.RESULT,
            gives=Gives.BYTES,
            names=Named("path", "id"),
        ),
    ),
    along={"image": DATA},
    judge=_judge,
    says=SAYS,
)
