"""WaveSpeed: upscaling of pictures and of videos; its answers are an envelope with a code.

The client declares how long its video is: that lowers nothing, and FlashVSR is held for the longest
and settled by what is delivered. An answer at once, or in base64, would not be a job: both are
switched off. Source: the vendor's library 2.0.5; the hosts of its files are from knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common.money import usd
from proxy.along import Uploaded, filename
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.inputs import Input
from proxy.pricing.shapes import Ruled, choice_of, known, of_input, one_only
from proxy.vendors.states import OUT_OF_CREDIT, States, by_words, file_at, id_at, text_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "wavespeed-2026-01"
FLASH_VSR = {"720p": "0.012", "1080p": "0.018", "2k": "0.024", "4k": "0.032"}
SHORTEST, LONGEST = "5", "600"
"""Seconds of a video that FlashVSR bills."""
PICTURES = {"seedvr2/image": "0.01", "ultimate-image-upscaler": "0.06"}
AT_ONCE = ("enable_sync_mode", "enable_base64_output")


def video(asked: Asked) -> Quote:
    """Price a video by resolution and the seconds of its source."""
    one_only(asked.body)
    resolution = choice_of(asked.body, "target_resolution", FLASH_VSR)
    rate = usd(FLASH_VSR[resolution])
    return of_input(asked, "video", rate, least=SHORTEST, most=LONGEST, resolution=resolution)


def _picture(model: str) -> Ruled:
    def rule(asked: Asked) -> Quote:
        """Price a picture by its model."""
        one_only(asked.body)
        resolution = choice_of(asked.body, "target_resolution", ("2K", "4K", "8K"), default="4K")
        return known(usd(PICTURES[model]), model=model, resolution=resolution)

    return Ruled(rule)


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    if not any(asked.body.get(name) for name in AT_ONCE):
        return None
    return {**asked.body, **{name: False for name in AT_ONCE if name in asked.body}}


_says = text_at("message", "data.error", "error")
_by_words = by_words(_says)
CODES = {
    401: Verdict.OPERATOR,
    402: Verdict.OPERATOR,
    403: Verdict.OPERATOR,
    404: Verdict.REJECTED,
    429: Verdict.BUSY,
}


def _judge(said: Said) -> Judged | None:
    """Return what an answer's code means: 200 is well, in a 200 too."""
    if said.status not in DELIVERING:
        return _by_words(said)
    code = said.object.get("code")
    if code == 200:
        return None
    if not isinstance(code, int) or isinstance(code, bool):
        return Judged(Verdict.UNKNOWN)
    if OUT_OF_CREDIT.search(_says(said.json)):
        return Judged(Verdict.OPERATOR)
    return Judged(CODES.get(code, Verdict.REJECTED if 400 <= code < 500 else Verdict.UNKNOWN))


def _judge_error(said: Said) -> Judged | None:
    return Judged(Verdict.MISSING) if said.object.get("code") == 404 else None


STATES = States(
    at="data.status",
    done=("completed",),
    failed=("failed", "cancelled", "timeout", "deleted"),
    running=("processing", "created"),
    foreign=("cancelled", "timeout", "deleted"),
    results=("data.outputs[]",),
    why=("data.error",),
    judge_error=_judge_error,
)


UPLOAD = Uploaded(
    at="/api/v3/media/uploads",
    asks=lambda ours: {
        "filename": filename(ours),
        "size": ours.size,
        "content_type": ours.content_type,
    },
    put=("data.upload.url",),
    called="data.download_url",
    headers="data.upload.headers",
)


def _told(task: str, word: str, why: str = "") -> dict[str, Any]:
    data = {"id": task, "status": word, "outputs": [], "error": why}
    return {"code": 200, "message": "success", "data": data}


def _ours(answer: Any) -> Any:
    """Return an answer whose address for asking again is one of ours: only our key opens theirs."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or "urls" not in data:
        return answer
    task = quote(f"{data.get('id', '')}", safe="")
    urls = {"get": f"/proxy/wavespeed/api/v3/predictions/{task}/result"} if task else {}
    return {**answer, "data": {**data, "urls": urls}}


JOB = Job(
    poll="wavespeed/api/v3/predictions/{id}/result",
    job_id=id_at("data.id"),
    judge=STATES.judge,
    pending=lambda task: _told(task, "processing"),
    failed=lambda task, why: _told(task, "failed", why),
    results=STATES.made,
    measured="seconds",
    deadline_seconds=3 * 3600,
)


def _submit(path: str, title: str, price: Ruled) -> Operation:
    path = f"api/v3/wavespeed-ai/{path}"
    return Operation(
        "POST",
        f"wavespeed/{path}",
        f"/{path}",
        price,
        Kind.SUBMIT,
        job=JOB,
        prepare=_prepare,
        reply=_ours,
        measures=(Input("video", file_at("video")),),
        timeout_seconds=300,
        price_version=VERSION,
        title=f"WaveSpeed {title}",
    )


WAVESPEED = Vendor(
    name="wavespeed",
    display="WaveSpeed",
    base_url="https://api.wavespeed.ai",
    file_hosts=("wavespeed.ai", "cloudfront.net"),
    credential=bearer(),
    operations=(
        _submit("flashvsr", "FlashVSR", Ruled(video)),
        *(_submit(model, model, _picture(model)) for model in PICTURES),
        Operation(
            "GET",
            "wavespeed/api/v3/predictions/{id}/result",
            "/api/v3/predictions/{id}/result",
            kind=Kind.POLL,
            names=Named("path", "id"),
            reply=lambda answer: _ours(STATES.reply(answer)),
            timeout_seconds=60,
        ),
    ),
    along={"image": UPLOAD, "video": UPLOAD},
    judge=_judge,
    says=_says,
)
