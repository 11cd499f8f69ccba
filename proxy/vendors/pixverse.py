"""PixVerse: videos from a text, a picture that was uploaded, or two of them.

Every answer is a 200 with an ErrCode. A request has an id of its own (Ai-trace-id), new each time:
the vendor answers the same one as before. Pictures are named by ids, and belong to who uploaded
them. Only v3.5 has published prices; what its other models and its sounds cost is not known.
Sources: pixverse-mcp 0.2.2 and the vendor's pages.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.again import KnownBy
from proxy.catalogue import Job, Kind, Named, Operation, Takes, Vendor
from proxy.credentials import Header
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.shapes import Ruled, choice_of, count, known, one_only
from proxy.vendors.states import States, assets_at, id_at, ids_at, saying, text_at

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.credentials import Account, Exchange
    from proxy.dialect import Said
    from proxy.pricing import Quote
    from proxy.relay import Outgoing

VERSION = "pixverse-2026-01"
FIVE = {"360p": "0.45", "540p": "0.45", "720p": "0.6", "1080p": "1.2"}
FAST = {"360p": "0.9", "540p": "0.9", "720p": "1.2", "1080p": "1.2"}
"""Also what eight seconds cost."""
USUAL = {"model": "v3.5", "quality": "540p", "duration": 5, "motion_mode": "normal"}
DEARER = ("sound_effect_switch", "lip_sync_switch", "lip_sync_tts_switch", "generate_audio_switch")


@dataclass(frozen=True, slots=True)
class Traced(Header):
    """A key in a header, and an id of the request beside it."""

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """See Scheme."""
        outgoing.headers[self.name] = account.settings[self.setting]
        outgoing.headers.setdefault("ai-trace-id", str(uuid.uuid4()))


def price(asked: Asked) -> Quote:
    """Price a video by quality, seconds and motion."""
    body = asked.body
    one_only(body)
    for name in DEARER:
        if body.get(name):
            raise InvalidRequest(f"{name} has no price here.")
    choice_of(body, "model", ("v3.5",), default="v3.5")
    quality = choice_of(body, "quality", FIVE, default="540p")
    motion = choice_of(body, "motion_mode", ("normal", "fast"), default="normal")
    seconds = count(body, "duration", least=5, most=8, default=5)
    if seconds not in (5, 8):
        raise InvalidRequest(f"duration {seconds} has no price here: it must be 5 or 8.")
    table = FAST if seconds == 8 or motion == "fast" else FIVE
    return known(usd(table[quality]), quality=quality, seconds=seconds, motion=motion)


CODES = {
    **dict.fromkeys((10001, 10002, 10003, 10004, 10005, 500090), Verdict.OPERATOR),
    **dict.fromkeys((500044, 500069), Verdict.BUSY),
    **dict.fromkeys((500054, 500063), Verdict.MODERATED),
}
_says = text_at("ErrMsg", "message")


def _judge(said: Said) -> Judged | None:
    """Return what the code in a 200 means; 4000xx are about the request."""
    code = said.object.get("ErrCode")
    if isinstance(code, bool) or not isinstance(code, int):
        return Judged(Verdict.UNKNOWN) if said.status in DELIVERING else None
    if code == 0:
        return None
    if code in CODES:
        return Judged(CODES[code])
    if 400000 <= code < 500000:
        return Judged(Verdict.REJECTED)
    return Judged(Verdict.UNKNOWN) if said.status in DELIVERING else None


STATES = States(
    at="Resp.status",
    done=("1",),
    failed=("8", "6"),
    moderated=("7",),
    running=("5", "9", "10"),
    foreign=("9", "10"),
    results=("Resp.url",),
)


def _told(video: str, word: int, why: str = "Success") -> dict[str, Any]:
    found = {"id": int(video)} if video.isdecimal() else {}
    return {"ErrCode": 0, "ErrMsg": why, "Resp": {**found, "status": word}}


JOB = Job(
    poll="pixverse/video/result/{video_id}",
    job_id=id_at("Resp.video_id"),
    judge=STATES.judge,
    pending=lambda video: _told(video, 5),
    failed=lambda video, why: _told(video, 8, why),
    results=STATES.made,
    interval_seconds=4.0,
    deadline_seconds=3 * 3600,
)
PICTURES = tuple(("image", name) for name in ("img_id", "first_frame_img", "last_frame_img"))


def _submit(name: str, title: str) -> Operation:
    return Operation(
        "POST",
        f"pixverse/video/{name}/generate",
        f"/openapi/v2/video/{name}/generate",
        Ruled(price),
        Kind.SUBMIT,
        job=JOB,
        uses=ids_at(*PICTURES),
        prepare=lambda asked, _: saying(asked, None, USUAL),
        known_by=KnownBy(header="ai-trace-id"),
        timeout_seconds=300,
        price_version=VERSION,
        title=f"PixVerse {title}",
    )


PIXVERSE = Vendor(
    name="pixverse",
    display="PixVerse",
    base_url="https://app-api.pixverse.ai",
    credential=Traced("api-key"),
    operations=(
        _submit("text", "Text to Video"),
        _submit("img", "Image to Video"),
        _submit("transition", "Transition"),
        Operation(
            "POST",
            "pixverse/image/upload",
            "/openapi/v2/image/upload",
            kind=Kind.UPLOAD,
            takes=Takes.FORM,
            makes=assets_at(("image", "Resp.img_id")),
        ),
        Operation(
            "GET",
            "pixverse/video/result/{video_id}",
            "/openapi/v2/video/result/{video_id}",
            kind=Kind.POLL,
            names=Named("path", "video_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    judge=_judge,
    says=_says,
)
