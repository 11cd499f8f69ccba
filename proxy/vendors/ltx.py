"""Lightricks LTX: v1 answers the film itself after minutes, v2 takes a job, each with a poll.

The models of v1 (LTX-2) are gone: who sends one reads so. Where the operator has put an address of
their own in the vendor's place, it is sent there as it is. A `duration` that is null would let the
model choose, and is refused. Sources: the vendor's OpenAPI and pages; the hosts of its files are
from knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.money import usd
from proxy.along import DATA
from proxy.catalogue import Gives, Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import Judged, Verdict
from proxy.inputs import Input
from proxy.pricing.shapes import Ruled, choice_of, count, known, of_input, one_only
from proxy.vendors.states import States, by_words, file_at, id_at, saying, text_at, there
from proxy.withdrawn import Gone, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "ltx-2026-08"
V1 = {
    "ltx-2-pro": {"1920x1080": "0.06", "2560x1440": "0.12", "3840x2160": "0.24"},
    "ltx-2-fast": {"1920x1080": "0.04", "2560x1440": "0.08", "3840x2160": "0.16"},
}
FAST = ("720", "0.1287"), ("1080", "0.1859"), ("1440", "0.2717"), ("2160", "0.429")
PRO = ("720", "0.1716"), ("1080", "0.2431")
WIDTHS = {"720": "1280", "1080": "1920", "1440": "2560", "2160": "3840"}
V2 = {
    model: {
        size: price
        for height, price in rates
        for size in (f"{WIDTHS[height]}x{height}", f"{height}x{WIDTHS[height]}")
    }
    for model, rates in (("ltx-2-5-fast", FAST), ("ltx-2-5-pro", PRO))
}
"""USD a second, whichever way the picture lies."""
AUDIO = {"ltx-2-5-fast": "0.1859", "ltx-2-5-pro": "0.2431"}
SHORTEST_SOUND, LONGEST_SOUND = "2", "20"
INSTEAD = "an LTX 2.5 node (ltx-2-5-fast or ltx-2-5-pro)"
GONE = Withdrawn("ltx", "Lightricks", dict.fromkeys(V1, Gone("2026-08-15", INSTEAD)))


def v1(asked: Asked) -> Quote:
    """Price a film of LTX-2 by model, resolution and seconds."""
    one_only(asked.body)
    model = choice_of(asked.body, "model", V1)
    GONE.check(model)
    return _film(asked, model, V1[model])


def v2(asked: Asked) -> Quote:
    """Price a film of LTX-2.5 alike."""
    one_only(asked.body)
    model = choice_of(asked.body, "model", V2)
    return _film(asked, model, V2[model])


def _film(asked: Asked, model: str, rates: dict[str, str]) -> Quote:
    resolution = choice_of(asked.body, "resolution", rates, default="1920x1080")
    seconds = count(asked.body, "duration", least=1, most=20)
    price = usd(rates[resolution]) * seconds
    return known(price, model=model, resolution=resolution, seconds=seconds)


def sound(asked: Asked) -> Quote:
    """Price a film that is as long as its sound."""
    one_only(asked.body)
    model = choice_of(asked.body, "model", AUDIO)
    choice_of(asked.body, "resolution", ("1920x1080", "1080x1920"), default="1920x1080")
    rate = usd(AUDIO[model])
    return of_input(asked, "audio_uri", rate, least=SHORTEST_SOUND, most=LONGEST_SOUND, model=model)


STATES = States(
    at="status",
    done=("completed",),
    failed=("failed",),
    running=("processing", "pending"),
    results=("result.video_url",),
    why=("error.type", "error.message"),
)
_says = text_at("error.message", "message")
_by_words = by_words(lambda body: f"{text_at('error.type')(body)} {_says(body)}")


def _judge(said: Said) -> Judged | None:
    """Return what an error means: what was filtered is a 422, too much for the vendor a 529."""
    kind = text_at("error.type")(said.json)
    if kind == "content_filtered_error":
        return Judged(Verdict.MODERATED)
    return Judged(Verdict.BUSY) if said.status == 529 else _by_words(said)


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    return saying(asked, None, {"resolution": "1920x1080"})


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"id": task, "status": word, **more}


def _v1(path: str, title: str) -> Operation:
    return Operation(
        "POST",
        f"ltx/v1/{path}",
        f"/v1/{path}",
        Ruled(v1),
        gives=Gives.BYTES,
        prepare=_prepare,
        timeout_seconds=1500,
        delivers=there(),
        price_version=VERSION,
        title=f"LTX-2 {title}",
    )


def _v2(
    path: str, title: str, rule: Callable[[Asked], Quote], measured: str = ""
) -> tuple[Operation, ...]:
    poll = f"ltx/v2/{path}/{{job_id}}"
    return (
        Operation(
            "POST",
            f"ltx/v2/{path}",
            f"/v2/{path}",
            Ruled(rule),
            Kind.SUBMIT,
            prepare=_prepare,
            measures=(Input("audio_uri", file_at("audio_uri")),) if measured else (),
            job=Job(
                poll=poll,
                job_id=id_at("id"),
                judge=STATES.judge,
                pending=lambda task: _told(task, "processing"),
                failed=lambda task, why: _told(task, "failed", error={"message": why}),
                results=STATES.made,
                measured=measured,
                interval_seconds=4.0,
                deadline_seconds=3 * 3600,
                kept_seconds=24 * 3600,
            ),
            timeout_seconds=300,
            price_version=VERSION,
            title=f"LTX-2.5 {title}",
        ),
        Operation(
            "GET",
            poll,
            f"/v2/{path}/{{job_id}}",
            kind=Kind.POLL,
            names=Named("path", "job_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    )


LTX = Vendor(
    name="ltx",
    display="Lightricks LTX",
    base_url="https://api.ltx.video",
    file_hosts=("ltx.video", "ltx.io", "storage.googleapis.com", "amazonaws.com"),
    credential=bearer(),
    operations=(
        _v1("text-to-video", "Text to Video"),
        _v1("image-to-video", "Image to Video"),
        *_v2("text-to-video", "Text to Video", v2),
        *_v2("image-to-video", "Image to Video", v2),
        *_v2("audio-to-video", "Audio to Video", sound, "seconds"),
    ),
    along={"image": DATA, "video": DATA, "audio": DATA},
    judge=_judge,
    says=_says,
)
