"""xAI Grok Imagine: pictures at once, videos as jobs.

A video that is being made is a 202 without a body, which clients do not know: they read
`pending`. A video that moderation took away has no address, or says so; they read `failed`. Of
pictures those are charged that moderation let through. One picture to edit is sent by another
name than several, `seed` is none of the vendor's fields. An edited video costs by its length, an
extended one by that of the given and of the new part: the delivered one holds both. Sources: the
vendor's package for JavaScript 3.0.138, its Python package 1.21.0, its guide to extensions.
Prices: the nodes' of August 2026. Refused videos are billed to us and to nobody else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing import Quote
from proxy.pricing.shapes import (
    Ruled,
    at,
    choice_of,
    count,
    known,
    model_of,
    of_input,
    only,
    per_second,
)
from proxy.vendors.states import BLOCKED, by_words, id_at, listed, text_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.asked import Asked, Evidence
    from proxy.dialect import Said

VERSION = "xai-2026-08"

# --- Pictures -----------------------------------------------------------------------------------

NEWEST, QUALITY = "grok-imagine-image-2.0", "grok-imagine-image-quality"
IMAGES = {
    NEWEST: {"medium": ("0.06", "0.08"), "low": ("0.04", "0.06")},
    QUALITY: {"": ("0.05", "0.07")},
    "grok-imagine-image-pro": {"": ("0.07", "0.07")},
    "grok-imagine-image": {"": ("0.02", "0.02")},
}
"""USD by quality, at 1k and at 2k."""
SHOWN = {NEWEST: usd("0.01"), QUALITY: usd("0.01")}
SHOWN_ELSE = usd("0.002")
IMAGE_FIELDS = (
    "model", "prompt", "aspect_ratio", "n", "seed", "response_format", "resolution", "quality",
)  # fmt: skip
MOST, MOST_SHOWN, MOST_REFERENCES = 10, 10, 7


@dataclass(frozen=True, slots=True)
class Pictures:
    """By model, quality and size for each picture that comes, and by those that are shown."""

    shows: bool = False
    reads_body: bool = True
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold all that were asked."""
        body = asked.body
        only(body, (*IMAGE_FIELDS, "images") if self.shows else IMAGE_FIELDS)
        model = model_of(body, IMAGES)
        rates = IMAGES[model]
        quality = choice_of(body, "quality", rates, default="medium") if "" not in rates else ""
        large = choice_of(body, "resolution", ("1k", "2k"), default="1k") == "2k"
        pictures = count(body, "n", least=1, most=MOST, default=1)
        shown = len(listed(body, "images", most=MOST_SHOWN))
        each, base = usd(rates[quality][large]), SHOWN.get(model, SHOWN_ELSE) * shown
        inputs = {"model": model, "n": pictures, "each": int(each), "base": int(base)}
        return Quote(Micros(each * pictures + base), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of what came."""
        if not evidence.is_final:
            return None
        came = len(_let_through(evidence.end)) or inputs["n"]
        return Micros(inputs["each"] * min(came, inputs["n"]) + inputs["base"])


def _pictures(answer: Any) -> list[dict[str, Any]]:
    data = answer.get("data") if isinstance(answer, dict) else None
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []


def _let_through(answer: Any) -> list[dict[str, Any]]:
    return [each for each in _pictures(answer) if each.get("respect_moderation") is not False]


def _sent(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without `seed`; a picture to edit alone, several in a list."""
    body = {k: v for k, v in asked.body.items() if k not in ("seed", "images") and v is not None}
    shown = [{**each, "type": "image_url"} for each in asked.body.get("images") or []]
    if len(shown) == 1:
        body["image"] = shown[0]
    elif shown:
        body["images"] = shown
    return body


# --- Videos -------------------------------------------------------------------------------------

MARK_UP = Fraction(143, 100)
OLD, NEW = "grok-imagine-video", "grok-imagine-video-1.5"
VIDEOS = {
    OLD: {"480p": usd("0.05"), "720p": usd("0.07")},
    NEW: {"480p": usd("0.08"), "720p": usd("0.14"), "1080p": usd("0.25")},
}
PICTURE = {OLD: usd("0.002"), NEW: usd("0.01")}
VIDEO_FIELDS = (
    "model", "prompt", "image", "reference_images", "reference_audios", "duration",
    "aspect_ratio", "resolution", "seed",
)  # fmt: skip
EDITED, GIVEN, ADDED = usd("0.06"), usd("0.01"), usd("0.05")
LONGEST_EDITED, LONGEST_GIVEN = "8.7", 15
SHORTEST_EDITED, SHORTEST_GIVEN = "1", 2
"""Seconds that the vendor takes."""


def video(asked: Asked) -> Quote:
    """Price a video by model, size and length, and by the pictures that are shown."""
    body = asked.body
    only(body, VIDEO_FIELDS)
    model = model_of(body, VIDEOS)
    seconds = count(body, "duration", least=1, most=15)
    references = len(listed(body, "reference_images", most=MOST_REFERENCES))
    listed(body, "reference_audios", most=MOST_REFERENCES)
    if references and body.get("image"):
        raise InvalidRequest("image and reference_images have no price here together.")
    sizes = [each for each in VIDEOS[model] if each != "1080p" or not references]
    size = choice_of(body, "resolution", sizes, default="480p")
    shown = references or (1 if body.get("image") else 0)
    price = Fraction(VIDEOS[model][size] * seconds + PICTURE[model] * shown)
    if references or model == NEW:
        price *= MARK_UP
    return known(round_up(price), model=model, seconds=seconds, resolution=size, shown=shown)


def edit(asked: Asked) -> Quote:
    """Price an edit by the length of what is edited, which is that of what comes."""
    only(asked.body, ("model", "prompt", "video", "seed"))
    model_of(asked.body, VIDEOS)
    return of_input(asked, "video", EDITED, least=SHORTEST_EDITED, most=LONGEST_EDITED)


def extension(asked: Asked) -> Quote:
    """Price an extension by the length of both parts."""
    only(asked.body, ("model", "prompt", "video", "duration"))
    if asked.body.get("model") is not None:
        model_of(asked.body, VIDEOS)
    added = count(asked.body, "duration", least=1, most=10, default=6)
    given = asked.measured.get("video")
    if given is not None:
        return known(round_up(MARK_UP * (GIVEN * given + ADDED * added)), added=added)
    # What comes is as long as both: of each second of it the lower rate, of the new the difference.
    base = int(MARK_UP * (ADDED - GIVEN) * added)
    least, most = f"{SHORTEST_GIVEN + added}", f"{LONGEST_GIVEN + added}"
    return per_second(MARK_UP * GIVEN, least=least, most=most, base=base, added=added)


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
    if said.status in DELIVERING and _pictures(said.json) and not _let_through(said.json):
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
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Grok Video {title}",
    )


def _draw(path: str, title: str, price: Pictures) -> Operation:
    return Operation(
        "POST",
        f"xai/v1/images/{path}",
        f"/v1/images/{path}",
        price,
        prepare=_sent,
        reports=lambda answer: bool(_pictures(answer)),
        price_version=VERSION,
        title=f"Grok Image {title}",
    )


XAI = Vendor(
    name="xai",
    display="xAI",
    base_url="https://api.x.ai",
    file_hosts=("x.ai",),
    credential=bearer(),
    operations=(
        _draw("generations", "Generation", Pictures()),
        _draw("edits", "Edit", Pictures(shows=True)),
        _submit("generations", "Generation", Ruled(video)),
        _submit("edits", "Edit", Ruled(edit)),
        _submit("extensions", "Extension", Ruled(extension)),
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
    judge=_judge,
    says=SAYS,
)
