"""Alibaba's Wan and HappyHorse by Model Studio: pictures and videos, one poll for all.

A submit is a job only with a header that clients do not send: it is added here. A size stands in
`resolution` or, of older models, in `size`. What is made from a video costs by the seconds of both,
as the end's `usage` tells; how many of a video's seconds are billed at most is known of Wan, and
guessed high of HappyHorse's edit. An end may hold fewer pictures than were asked.
Source: dashscope 2.0.2.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, usd
from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import Judged, Verdict
from proxy.inputs import Input
from proxy.pricing import Quote
from proxy.pricing.shapes import Ruled, at, choice_of, count, known, longest, one_only, per_second
from proxy.vendors.states import BLOCKED, States, by_words, each, id_at, listed, saying, text_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked, Evidence
    from proxy.dialect import Said
    from proxy.pricing import Price

VERSION = "wan-2026-08"
WAN = {"480p": "0.05", "720p": "0.1", "1080p": "0.15"}
HORSE_1_0 = {"480p": "0.14", "720p": "0.14", "1080p": "0.24"}
HORSE_1_1 = {"480p": "0.2002", "720p": "0.2002", "1080p": "0.2574"}
RATES = {
    **dict.fromkeys(
        ("wan2.5-t2v-preview", "wan2.5-i2v-preview", "wan2.6-t2v", "wan2.6-i2v", "wan2.6-r2v",
         "wan2.7-t2v", "wan2.7-i2v", "wan2.7-r2v", "wan2.7-videoedit"),
        WAN,
    ),
    **dict.fromkeys(
        ("happyhorse-1.0-t2v", "happyhorse-1.0-i2v", "happyhorse-1.0-r2v",
         "happyhorse-1.0-video-edit"),
        HORSE_1_0,
    ),
    **dict.fromkeys(
        ("happyhorse-1.1-t2v", "happyhorse-1.1-i2v", "happyhorse-1.1-r2v"), HORSE_1_1
    ),
}  # fmt: skip
SIZES = {
    **dict.fromkeys(("624*624", "832*480", "480*832"), "480p"),
    **dict.fromkeys(("960*960", "1280*720", "720*1280", "1088*832", "832*1088"), "720p"),
    **dict.fromkeys(("1440*1440", "1920*1080", "1080*1920", "1632*1248", "1248*1632"), "1080p"),
}
LONGEST = 15
"""Seconds of a video."""
BILLED_INPUT = {"r2v": 5, "i2v": 10, "wan2.7-videoedit": 10, "happyhorse-1.0-video-edit": 15}
"""Seconds of a video that is put in, at the most: of references, of a beginning, of an edit."""
SHORTEST_INPUT = 2
PICTURE = usd("0.03")
OLDER = ("reference_video_urls", "video_url", "video")
VIDEOS = ("video", "first_clip", "reference_video")
MEDIA = (*VIDEOS, "image", "reference_image", "first_frame", "last_frame", "driving_audio", "audio",
         "reference_voice")  # fmt: skip


def video(asked: Asked) -> Quote:
    """Price a video by model, size and seconds, and the seconds that it is made from."""
    body = asked.body
    one_only(body, "parameters", "input")
    model = choice_of(body, "model", RATES)
    size = _size(body)
    rate = usd(RATES[model][size])
    is_edit = "edit" in model
    seconds = count(body, "parameters.duration", least=0 if is_edit else 2, most=LONGEST, default=5)
    inputs: dict[str, Any] = {"model": model, "size": size}
    if not _has_video(body) and not is_edit:
        return known(rate * seconds, **inputs, seconds=seconds)
    billed = BILLED_INPUT.get(model, BILLED_INPUT["r2v" if "r2v" in model else "i2v"])
    shown = Fraction(longest(asked, "input", least=f"{SHORTEST_INPUT}", most=f"{billed}"))
    billed = math.ceil(shown)
    if is_edit and (seconds == 0 or at(body, "parameters.duration") is None):
        return per_second(rate, least=f"{2 * SHORTEST_INPUT}", most=f"{2 * billed}", **inputs)
    least, most = seconds + SHORTEST_INPUT, seconds + billed
    return per_second(rate, least=f"{least}", most=f"{most}", **inputs)


def _size(body: dict[str, Any]) -> str:
    """Return the dearest of what is said; where nothing is, the vendor makes its largest."""
    said = []
    if at(body, "parameters.resolution") is not None:
        said.append(choice_of(body, "parameters.resolution", WAN))
    if at(body, "parameters.size") is not None:
        said.append(SIZES[choice_of(body, "parameters.size", SIZES)])
    return max(said or ["1080p"], key=list(WAN).index)


def _films(asked: Asked) -> list[Any]:
    """Return the films that are put in; a field of older clients is not looked into."""
    media = at(asked.body, "input.media")
    if not isinstance(media, list) or any(at(asked.body, f"input.{name}") for name in OLDER):
        return []
    parts = [part for part in media if isinstance(part, dict)]
    return [part.get("url") for part in parts if f"{part.get('type')}".lower() in VIDEOS]


def _has_video(body: dict[str, Any]) -> bool:
    inside = body.get("input")
    if not isinstance(inside, dict):
        raise InvalidRequest("input must be an object.")
    kinds = [choice_of(one, "type", MEDIA) for one in listed(inside, "media", most=20)]
    older = any(inside.get(name) for name in OLDER)
    return older or any(kind in VIDEOS for kind in kinds)


def _pictures(answer: Any) -> int:
    """Return how many pictures an end holds: an item may be an error."""
    return len([url for url in each(answer, "output.results[].url") if isinstance(url, str)])


@dataclass(frozen=True, slots=True)
class Pictures:
    """So much for each picture: held for all that are asked, charged for those that came."""

    models: tuple[str, ...]
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return what all of them cost."""
        one_only(asked.body, "parameters", "input", counted="parameters.n")
        model = choice_of(asked.body, "model", self.models)
        number = count(asked.body, "parameters.n", least=1, most=4, default=1)
        return Quote(Micros(PICTURE * number), {"model": model, "pictures": number})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return what those cost that came; one at least, or it would have failed."""
        if not evidence.is_final:
            return None
        return Micros(PICTURE * min(inputs["pictures"], max(1, _pictures(evidence.end))))

    def least(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of one picture."""
        return Micros(PICTURE)


# --- What Alibaba says --------------------------------------------------------------------------

_sentence = text_at("message")
INSPECTED = re.compile(f"DataInspection|{BLOCKED.pattern}", re.I)


def _words(answer: Any) -> str:
    return f"{text_at('code')(answer)} {_sentence(answer)}"


_by_words = by_words(
    _words,
    (re.compile("Arrearage|InvalidApiKey|AccessDenied|ModelNotFound"), Verdict.OPERATOR),
    (re.compile("DataInspection"), Verdict.MODERATED),
    (re.compile("Throttling"), Verdict.BUSY),
)


def _judge_poll(said: Said) -> Judged | None:
    """Return what it means that a task is not known: it is older than a day, or none."""
    gone = at(said.object, "output.task_status") == "UNKNOWN"
    return Judged(Verdict.MISSING) if gone else None


STATES = States(
    at="output.task_status",
    done=("SUCCEEDED",),
    failed=("FAILED", "CANCELED"),
    running=("RUNNING", "PENDING", "SUSPENDED"),
    foreign=("SUSPENDED",),
    results=("output.video_url", "output.results[].url"),
    why=("output.code", "output.message"),
    blocked=INSPECTED,
    judge_error=_judge_poll,
)


def _seconds(answer: Any) -> Fraction | None:
    """Return the seconds that were billed, of what was put in and what was made."""
    for path in ("usage.duration", "usage.video_duration"):
        found = at(answer, path)
        if isinstance(found, (int, float)) and not isinstance(found, bool) and 0 < found < 1e6:
            return Fraction(f"{found}")
    return None


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"request_id": "", "output": {"task_id": task, "task_status": word, **more}}


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the request with the number or the seconds that were priced: four is usual there."""
    usual = {}
    if "pictures" in inputs:
        usual = {"parameters.n": 1}
    elif "edit" not in inputs["model"]:
        usual = {"parameters.duration": 5}
    return saying(asked, None, usual)


def _submit(name: str, title: str, price: Price, *, measured: str = "", **more: Any) -> Operation:
    path = f"api/v1/services/aigc/{name}"
    return Operation(
        "POST",
        f"wan/{path}",
        f"/{path}",
        price,
        Kind.SUBMIT,
        job=Job(
            poll="wan/api/v1/tasks/{task_id}",
            job_id=id_at("output.task_id"),
            judge=STATES.judge,
            pending=lambda task: _told(task, "RUNNING"),
            failed=lambda task, why: _told(task, "FAILED", code="Failed", message=why),
            results=STATES.made,
            measured=measured,
            stated=_seconds,
            interval_seconds=3.0,
            deadline_seconds=3 * 3600,
            kept_seconds=24 * 3600,
        ),
        prepare=_prepare,
        credential=bearer(x_dashscope_async="enable"),
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Wan {title}",
        **more,
    )


ALIBABA_WAN = Vendor(
    name="wan",
    display="Alibaba Wan",
    base_url="https://dashscope-intl.aliyuncs.com",
    file_hosts=("aliyuncs.com",),
    credential=bearer(),
    operations=(
        _submit(
            "video-generation/video-synthesis",
            "Video",
            Ruled(video),
            measured="seconds",
            measures=(Input("input", _films, summed=True),),
        ),
        _submit("text2image/image-synthesis", "Image", Pictures(("wan2.5-t2i-preview",))),
        _submit("image2image/image-synthesis", "Image Edit", Pictures(("wan2.5-i2i-preview",))),
        Operation(
            "GET",
            "wan/api/v1/tasks/{task_id}",
            "/api/v1/tasks/{task_id}",
            kind=Kind.POLL,
            names=Named("path", "task_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": DATA},
    judge=_by_words,
    says=_sentence,
)
