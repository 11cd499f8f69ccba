"""Higgsfield: the movements of a video, given to a picture. The key is `id:secret`.

Its price is that of the seconds of the video, which the vendor cuts at thirty. Out of credit is a
403; too much at once is a 400 with a sentence; a model that is blocked for a while is a 423.
Sources: the vendor's libraries and documentation; the hosts of its files are from knowledge.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.money import usd
from proxy.along import Uploaded
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import Judged, Verdict
from proxy.inputs import Input
from proxy.pricing.shapes import Ruled, choice_of, of_input, one_only
from proxy.vendors.states import States, by_words, file_at, hiding, id_at, text_at

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "higgsfield-2026-08"
RATES = {"480p": "0.45474", "720p": "0.97383", "1080p": "2.33376"}
SHORTEST, LONGEST = "4", "30"
"""Seconds of a video that the vendor takes; of a longer one it takes so much."""
PATH = "higgsfield/genjutsu/motion-transfer/v1.0"


def price(asked: Asked) -> Quote:
    """Price a transfer by resolution and the seconds of its video."""
    one_only(asked.body)
    resolution = choice_of(asked.body, "resolution", RATES)
    rate = usd(RATES[resolution])
    return of_input(
        asked,
        "video_url",
        rate,
        least=SHORTEST,
        most=LONGEST,
        capped=True,
        resolution=resolution,
    )


_says = text_at("detail", "detail[].msg", "message")
_by_words = by_words(_says, (re.compile("concurrent requests", re.I), Verdict.BUSY))


def _judge(said: Said) -> Judged | None:
    return Judged(Verdict.BROKEN) if said.status == 423 else _by_words(said)


STATES = States(
    at="status",
    done=("completed",),
    failed=("failed", "canceled"),
    moderated=("nsfw",),
    running=("in_progress", "queued"),
    results=("video.url", "images[].url"),
    why=("error",),
    hidden=("status_url", "cancel_url"),
)


UPLOAD = Uploaded(
    at="/files/generate-upload-url",
    asks=lambda ours: {"content_type": ours.content_type},
    put=("upload_url",),
    called="public_url",
    headers="upload_headers",
)


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"request_id": task, "status": word, **more}


HIGGSFIELD = Vendor(
    name="higgsfield",
    display="Higgsfield",
    base_url="https://api.higgsfield.ai",
    file_hosts=("higgsfield.ai", "cloudfront.net"),
    credential=Header("authorization", "Key {}"),
    operations=(
        Operation(
            "POST",
            f"higgsfield/{PATH}",
            f"/{PATH}",
            Ruled(price),
            Kind.SUBMIT,
            job=Job(
                poll="higgsfield/requests/{request_id}/status",
                job_id=id_at("request_id"),
                judge=STATES.judge,
                pending=lambda task: _told(task, "in_progress"),
                failed=lambda task, why: _told(task, "failed", error=why),
                results=STATES.made,
                measured="seconds",
                interval_seconds=4.0,
                deadline_seconds=3 * 3600,
                kept_seconds=7 * 24 * 3600,
            ),
            measures=(Input("video_url", file_at("video_url")),),
            reply=hiding("status_url", "cancel_url"),
            timeout_seconds=300,
            price_version=VERSION,
            title="Higgsfield Motion Transfer",
        ),
        Operation(
            "GET",
            "higgsfield/requests/{request_id}/status",
            "/requests/{request_id}/status",
            kind=Kind.POLL,
            names=Named("path", "request_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": UPLOAD, "video": UPLOAD},
    judge=_judge,
    says=_says,
)
