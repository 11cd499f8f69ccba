"""xAI Grok Imagine: pictures at once, videos as jobs.

A video that is being made is a 202 without a body, which clients do not know: they read
`pending`. A video that moderation took away has no address, or says so; they read `failed`. Of
pictures those are charged that moderation let through. One picture to edit is sent by another
name than several, `seed` is none of the vendor's fields. Refused videos are billed to us and to
nobody else. Prices: xai_prices.py. Sources: the vendor's package for JavaScript 3.0.138, its Python
package 1.21.0, its guide to extensions.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.inputs import Input
from proxy.pricing.shapes import Ruled, at
from proxy.vendors import xai_prices as prices
from proxy.vendors.states import BLOCKED, by_words, file_at, id_at, text_at, there

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.asked import Asked
    from proxy.dialect import Said


def _sent(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without `seed`; a picture to edit alone, several in a list."""
    body = {k: v for k, v in asked.body.items() if k not in ("seed", "images") and v is not None}
    shown = [{**each, "type": "image_url"} for each in asked.body.get("images") or []]
    if len(shown) == 1:
        body["image"] = shown[0]
    elif shown:
        body["images"] = shown
    return body


def _video_sent(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in asked.body.items() if k != "seed" and v is not None}


# --- What xAI says ------------------------------------------------------------------------------

SAYS = text_at("error.message", "error", "message")
USED_UP = re.compile(r"used all available credits|spending limit|purchase (more )?credits", re.I)
GUIDELINES = re.compile(rf"usage guidelines|{BLOCKED.pattern}", re.I)
BY_WORDS = by_words(SAYS, (USED_UP, Verdict.OPERATOR), (GUIDELINES, Verdict.MODERATED))
FAILED = ("failed", "expired")


def _judge(said: Said) -> Judged | None:
    """Return what an answer means; pictures that moderation took are no result."""
    if (
        said.status in DELIVERING
        and prices.pictures_of(said.json)
        and not prices.let_through(said.json)
    ):
        return Judged(Verdict.MODERATED)
    return BY_WORDS(said)


def _is_there(answer: Any) -> bool:
    video = at(answer, "video") if isinstance(answer, dict) else None
    is_refused = isinstance(video, dict) and video.get("respect_moderation") is False
    return bool(not is_refused and isinstance(video, dict) and video.get("url"))


def _judge_poll(said: Said) -> Judged | None:
    if said.status == 404:
        return Judged(Verdict.MISSING)
    if said.status == 202:
        return Judged(Verdict.RUNNING)
    if said.status not in DELIVERING or not isinstance(said.json, dict):
        return None
    answer, word = said.object, said.object.get("status")
    if at(answer, "video.respect_moderation") is False:
        return Judged(Verdict.MODERATED)
    if word in FAILED:
        is_blocked = GUIDELINES.search(f"{answer.get('error')}")
        return Judged(Verdict.MODERATED if is_blocked else Verdict.FAILED)
    if _is_there(answer):
        return Judged(Verdict.DONE)
    return Judged(Verdict.FAILED if word == "done" else Verdict.RUNNING)


def _reply(answer: Any) -> Any:
    """Return a poll's answer as clients read it: a state, and a video only if it is one."""
    if not isinstance(answer, dict):
        return {"status": "pending"}
    if _is_there(answer):
        return {**answer, "status": "done"}
    told = {name: value for name, value in answer.items() if name != "video"}
    ended = answer.get("status") in ("done", *FAILED) or "video" in answer
    return {**told, "status": "failed" if ended else "pending"}


def _results(answer: Any) -> Iterable[str]:
    url = at(answer, "video.url") if isinstance(answer, dict) else None
    return [url] if isinstance(url, str) else []


def _stated(answer: Any) -> Fraction | None:
    found = at(answer, "video.duration") if isinstance(answer, dict) else None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found < 3600:
        return None
    return Fraction(f"{found}")


VIDEO = Job(
    poll="xai/v1/videos/{request_id}",
    job_id=id_at("request_id"),
    judge=_judge_poll,
    pending=lambda _: {"status": "pending"},
    failed=lambda _, why: {"status": "failed", "error": {"code": "failed", "message": why}},
    results=_results,
    measured="seconds",
    stated=_stated,
    kept_seconds=24 * 3600,
)


def _submit(path: str, title: str, price: Ruled) -> Operation:
    return Operation(
        "POST",
        f"xai/v1/videos/{path}",
        f"/v1/videos/{path}",
        price,
        Kind.SUBMIT,
        job=VIDEO,
        prepare=_video_sent,
        measures=(Input("video", file_at("video")),),
        timeout_seconds=300,
        price_version=prices.VERSION,
        title=f"Grok Video {title}",
    )


def _draw(path: str, title: str, price: prices.Pictures) -> Operation:
    return Operation(
        "POST",
        f"xai/v1/images/{path}",
        f"/v1/images/{path}",
        price,
        prepare=_sent,
        reports=lambda answer: bool(prices.pictures_of(answer)),
        delivers=there("data[].url", "data[].b64_json"),
        price_version=prices.VERSION,
        title=f"Grok Image {title}",
    )


XAI = Vendor(
    name="xai",
    display="xAI",
    base_url="https://api.x.ai",
    file_hosts=("x.ai",),
    credential=bearer(),
    operations=(
        _draw("generations", "Generation", prices.Pictures()),
        _draw("edits", "Edit", prices.Pictures(shows=True)),
        _submit("generations", "Generation", Ruled(prices.video)),
        _submit("edits", "Edit", Ruled(prices.edit)),
        _submit("extensions", "Extension", Ruled(prices.extension)),
        Operation(
            "GET",
            "xai/v1/videos/{request_id}",
            "/v1/videos/{request_id}",
            kind=Kind.POLL,
            names=Named("path", "request_id"),
            reply=_reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": DATA},
    judge=_judge,
    says=SAYS,
)
