"""Luma's agents: pictures by Uni, videos by Ray 3.2.

Another product than Dream Machine, and so another address and another key (VENDOR_LUMA_2_KEY).
What an edit or a reframe costs follows the seconds of its source. High dynamic range has no price
here. Sources: the vendor's library 0.5.0 and its page of errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import Inside
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.inputs import Input
from proxy.pricing.shapes import Ruled, at, choice_of, known, of_input, one_only
from proxy.vendors.states import States, by_words, file_at, id_at, ids_at, saying, text_at, without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "luma-agents-2026-08"
PICTURES = {"uni-1": "0.0404", "uni-1-max": "0.1"}
FURTHER = usd("0.003")
"""Of an edit, and of each picture of reference."""
VIDEOS = {
    "360p": ("0.06", "0.18"),
    "540p": ("0.15", "0.45"),
    "720p": ("0.3", "0.9"),
    "1080p": ("1.2", "3.6"),
}
"""USD of five seconds, and of ten."""
EDITS = {"360p": "0.108", "540p": "0.144", "720p": "0.216", "1080p": "0.432"}
SHORTEST_EDIT, LONGEST_EDIT = "5", "10"
"""Seconds of the published range: a shorter one costs as much, a longer one no more."""
REFRAMES = {"360p": "0.03", "540p": "0.06", "720p": "0.12", "1080p": "0.36"}
LONGEST_SOURCE = "30"
MOST_REFERENCES = 20
DEARER = ("hdr", "exr_export", "exr")


def price(asked: Asked) -> Quote:
    """Price a work by its type: a picture by model and references, a video by size and length."""
    body = asked.body
    one_only(body, "video", "image")
    kinds = ("image", "image_edit", "video", "video_edit", "video_reframe")
    kind = choice_of(body, "type", kinds, default="image")
    if kind in ("image", "image_edit"):
        model = choice_of(body, "model", PICTURES, default="uni-1")
        references = _references(body)
        more = references + (kind == "image_edit")
        return known(usd(PICTURES[model]) + FURTHER * more, model=model, references=references)
    return _video(asked, kind)


def _references(body: dict[str, Any]) -> int:
    """Return how many pictures of reference there are: in a list, or one by itself."""
    found = body.get("image_ref")
    if isinstance(found, list) and len(found) <= MOST_REFERENCES:
        return len(found)
    if isinstance(found, list):
        raise InvalidRequest(f"image_ref must be a list of at most {MOST_REFERENCES}.")
    return 1 if found else 0


def _video(asked: Asked, kind: str) -> Quote:
    body = asked.body
    choice_of(body, "model", ("ray-3.2",))
    for name in DEARER:
        if at(body, name) or at(body, f"video.{name}"):
            raise InvalidRequest(f"{name} has no price here.")
    resolution = choice_of(body, "video.resolution", VIDEOS, default="720p")
    inputs: dict[str, Any] = {"type": kind, "resolution": resolution}
    if kind == "video":
        seconds = choice_of(body, "video.duration", ("5s", "10s"), default="5s")
        return known(usd(VIDEOS[resolution][seconds == "10s"]), **inputs, seconds=seconds)
    if kind == "video_reframe":
        rate = usd(REFRAMES[resolution])
        return of_input(asked, "source", rate, least="1", most=LONGEST_SOURCE, **inputs)
    return of_input(
        asked,
        "source",
        usd(EDITS[resolution]),
        least=SHORTEST_EDIT,
        most=LONGEST_EDIT,
        capped=True,
        **inputs,
    )


_goes_on = ids_at(
    *(
        ("task", f"{place}.generation_id")
        for place in ("source", "image_ref[]", "video.start_frame", "video.end_frame",
                      "video.keyframes[]", "video.source")
    )
)  # fmt: skip
"""A work may begin with an earlier one."""

STATES = States(
    at="state",
    done=("completed",),
    failed=("failed",),
    running=("processing", "queued"),
    results=("output[].url",),
    why=("failure_code", "failure_reason"),
)
_says = text_at("detail", "message")


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    usual = {"type": "image", "model": "uni-1"}
    if f"{asked.body.get('type')}".lower().startswith("video"):
        usual = {"video.resolution": "720p", "video.duration": "5s"}
    return saying(asked, without("callback_url")(asked, inputs), usual)


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"id": task, "state": word, "output": [], **more}


JOB = Job(
    poll="luma_2/generations/{id}",
    job_id=id_at("id"),
    judge=STATES.judge,
    pending=lambda task: _told(task, "processing"),
    failed=lambda task, why: _told(task, "failed", failure_reason=why),
    results=STATES.made,
    measured="seconds",
    interval_seconds=4.0,
    deadline_seconds=3 * 3600,
)

LUMA_AGENTS = Vendor(
    name="luma_2",
    display="Luma",
    base_url="https://agents.lumalabs.ai",
    file_hosts=("lumalabs.ai", "cdn-luma.com"),
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            "luma_2/generations",
            "/v1/generations",
            Ruled(price),
            Kind.SUBMIT,
            job=JOB,
            prepare=_prepare,
            measures=(Input("source", file_at("source")),),
            uses=_goes_on,
            timeout_seconds=300,
            price_version=VERSION,
            title="Luma Agents",
        ),
        Operation(
            "GET",
            "luma_2/generations/{id}",
            "/v1/generations/{id}",
            kind=Kind.POLL,
            names=Named("path", "id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    along=dict.fromkeys(("image", "video"), Inside({"url": "data"}, kind="media_type")),
    judge=by_words(_says),
    says=_says,
)
