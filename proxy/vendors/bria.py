"""Bria: edits of pictures and of videos, each at an address of its own, one poll for all.

A video costs by its seconds, at most sixty. Fields that the vendor does not know (`seed` of some)
and those that would have it answer at once are left out. A failed job is a 200; UNKNOWN, which no
client knows, is one that failed. 460 (an input that it cannot fetch) and 506 are statuses of its
own. Sources: bria-client 0.3.1 and the vendor's OpenAPI; the hosts of its files are from knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import PLAIN, Uploaded
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import Judged, Verdict
from proxy.inputs import Input
from proxy.pricing.shapes import Ruled, choice_of, known, of_input, one_only
from proxy.vendors.states import States, by_words, file_at, id_at, text_at, without

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "bria-2026-08"
PICTURES = {
    "edit": "0.04",
    "edit/erase": "0.0286",
    "edit/expand": "0.0286",
    "edit/gen_fill": "0.0429",
    "edit/increase_resolution": "0.0286",
    "edit/remove_background": "0.018",
}
VIDEOS = ("green_screen", "remove_background", "replace_background")
PER_SECOND = usd("0.05")
LONGEST = "60"
"""Seconds of a video that Bria takes."""
AT_ONCE = ("sync", "webhook_url", "callback_url")


def _picture(path: str) -> Ruled:
    def rule(asked: Asked) -> Quote:
        """Price an edit of one picture."""
        one_only(asked.body)
        choice_of(asked.body, "model_version", ("FIBO",), default="FIBO")
        pictures = asked.body.get("images")
        if isinstance(pictures, list) and len(pictures) > 1:
            raise InvalidRequest("images has no price here with more than one picture.")
        return known(usd(PICTURES[path]))

    return Ruled(rule)


def video(asked: Asked) -> Quote:
    """Price an edit of a video by its seconds."""
    one_only(asked.body)
    return of_input(asked, "video", PER_SECOND, least="1", most=LONGEST)


_says = text_at("error.message", "error.details", "message")
_by_words = by_words(_says)


def _judge(said: Said) -> Judged | None:
    """Return what a status of Bria's own means: both are about the input."""
    return Judged(Verdict.REJECTED) if said.status in (460, 506) else _by_words(said)


STATES = States(
    at="status",
    done=("COMPLETED",),
    failed=("ERROR", "FAILED", "UNKNOWN"),
    running=("IN_PROGRESS",),
    foreign=("UNKNOWN",),
    results=("result.image_url", "result.video_url"),
    why=("error.code", "error.message", "error.details"),
)


def _reply(answer: Any) -> Any:
    """Return a submit's answer without the address that only our key opens."""
    return {**answer, "status_url": ""} if isinstance(answer, dict) else answer


UPLOAD = Uploaded(
    at="/v2/video/upload",
    asks=lambda ours: {"media_type": ours.content_type},
    put=("result.upload_url",),
    called="result.file_url",
    fields="result.upload_fields",
)


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"request_id": task, "status": word, **more}


def _submit(path: str, price: Ruled, *left_out: str, measured: str = "") -> Operation:
    what = path.replace("/edit", "").replace("/", " ").replace("_", " ").strip()
    return Operation(
        "POST",
        f"bria/v2/{path}",
        f"/v2/{path}",
        price,
        Kind.SUBMIT,
        job=Job(
            poll="bria/v2/status/{request_id}",
            job_id=id_at("request_id"),
            judge=STATES.judge,
            pending=lambda task: _told(task, "IN_PROGRESS"),
            failed=lambda task, why: _told(task, "ERROR", error={"message": why}),
            results=STATES.made,
            measured=measured,
            interval_seconds=3.0,
        ),
        prepare=without(*AT_ONCE, *left_out),
        measures=(Input("video", file_at("video")),) if measured else (),
        along={"video": UPLOAD} if measured else None,
        reply=_reply,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Bria {what.title()}",
    )


def _seedless(path: str) -> tuple[str, ...]:
    return ("seed",) if path == "edit/remove_background" else ()


BRIA = Vendor(
    name="bria",
    display="Bria",
    base_url="https://engine.prod.bria-api.com",
    file_hosts=("bria-api.com", "amazonaws.com", "cloudfront.net"),
    credential=Header("api_token"),
    operations=(
        *(_submit(f"image/{path}", _picture(path), *_seedless(path)) for path in PICTURES),
        *(_submit(f"video/edit/{w}", Ruled(video), "seed", measured="seconds") for w in VIDEOS),
        Operation(
            "GET",
            "bria/v2/status/{request_id}",
            "/v2/status/{request_id}",
            kind=Kind.POLL,
            names=Named("path", "request_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": PLAIN},
    judge=_judge,
    says=_says,
)
