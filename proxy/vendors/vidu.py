"""Vidu: videos from a text, pictures or a video; one poll for all.

Its answers tell what a task took of the operator's credits: that is not passed on. What costs more
there and has no published price (recommended prompts, a sound where no sound is published) is
refused. Sources: vidu-mcp 0.1.2 and the vendor's pages; prices of the nodes of August 2026.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import Verdict
from proxy.pricing.shapes import Ruled, choice_of, count, known, one_only
from proxy.vendors.states import (
    States,
    assets_at,
    by_words,
    hiding,
    id_at,
    ids_at,
    listed,
    saying,
    text_at,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "vidu-2026-08"
Steps = dict[str, tuple[str, str]]
"""By resolution: USD of the first second, and of each further one."""

Q1 = "viduq1"
Q1_PRICE = usd("0.4")
Q3 = {
    "viduq3-pro": {"540p": "0.15", "720p": "0.15", "1080p": "0.16", "2k": "0.2"},
    "viduq3-turbo": {"720p": "0.06", "1080p": "0.08"},
}
"""USD a second."""
LONGEST_Q2, LONGEST_Q3 = 10, 16
FROM_TEXT: dict[str, Steps] = {"viduq2": {"720p": ("0.075", "0.025"), "1080p": ("0.1", "0.05")}}
FROM_REFERENCE: dict[str, Steps] = {
    "viduq2": {"720p": ("0.125", "0.025"), "1080p": ("0.375", "0.05")}
}
FROM_PICTURES: dict[str, Steps] = {
    "viduq2-pro-fast": {"720p": ("0.04", "0.01"), "1080p": ("0.08", "0.02")},
    "viduq2-pro": {"720p": ("0.075", "0.05"), "1080p": ("0.275", "0.075")},
    "viduq2-turbo": {"720p": ("0.04", "0.05"), "1080p": ("0.175", "0.05")},
}
EXTENDED: dict[str, Steps] = {
    "viduq2-pro": {"720p": ("0.15", "0.05"), "1080p": ("0.3", "0.075")},
    "viduq2-turbo": {"720p": ("0.075", "0.025"), "1080p": ("0.2", "0.05")},
}
SOUND = usd("0.075")
DEARER = ("is_rec", "voice_id")


def _check(asked: Asked, *, sound: bool = False) -> None:
    one_only(asked.body)
    for name in (*DEARER, *(() if sound else ("audio",))):
        if asked.body.get(name) not in (None, False, ""):
            raise InvalidRequest(f"{name} has no price here.")


def _film(models: dict[str, Steps], *, q3: bool, first_two: bool = False) -> Ruled:
    def rule(asked: Asked) -> Quote:
        """Price a video by model, resolution and seconds."""
        body = asked.body
        model = choice_of(body, "model", (Q1, *models, *(Q3 if q3 else ())))
        _check(asked, sound=model in Q3)
        if model == Q1:
            count(body, "duration", least=5, most=5, default=5)
            return known(Q1_PRICE, model=model)
        if model in Q3:
            rates = Q3[model]
            resolution = choice_of(body, "resolution", rates, default="720p")
            seconds = count(body, "duration", least=1, most=LONGEST_Q3, default=5)
            price = usd(rates[resolution]) * seconds
        else:
            resolution = choice_of(body, "resolution", models[model], default="720p")
            seconds = count(body, "duration", least=1, most=LONGEST_Q2, default=5)
            price = _steps(models[model][resolution], seconds)
            if (model, resolution) == ("viduq2-turbo", "720p"):
                price = _turbo(seconds, first_two=first_two)
        return known(price, model=model, resolution=resolution, seconds=seconds)

    return Ruled(rule)


def _steps(step: tuple[str, str], seconds: int) -> int:
    return usd(step[0]) + usd(step[1]) * (seconds - 1)


def _turbo(seconds: int, *, first_two: bool) -> int:
    """Return what the turbo costs: two seconds 0.05, one 0.04 or, between two frames, as much."""
    if seconds == 1:
        return usd("0.05") if first_two else usd("0.04")
    return usd("0.05") * (seconds - 1)


def reference(asked: Asked) -> Quote:
    """Price a video of subjects by model, resolution and seconds, and its sound."""
    body = asked.body
    model = choice_of(body, "model", (Q1, *FROM_REFERENCE))
    _check(asked, sound=model != Q1)
    if model == Q1:
        count(body, "duration", least=5, most=5, default=5)
        return known(Q1_PRICE, model=model)
    resolution = choice_of(body, "resolution", FROM_REFERENCE[model], default="720p")
    seconds = count(body, "duration", least=1, most=LONGEST_Q2, default=5)
    sound = SOUND if _is_on(body.get("audio")) else 0
    price = _steps(FROM_REFERENCE[model][resolution], seconds) + sound
    return known(price, model=model, resolution=resolution, seconds=seconds, sound=bool(sound))


def _is_on(value: Any) -> bool:
    return value not in (None, False, "", "false", "False", 0)


def extension(asked: Asked) -> Quote:
    """Price what is added to a video by its seconds."""
    _check(asked)
    model = choice_of(asked.body, "model", EXTENDED)
    resolution = choice_of(asked.body, "resolution", EXTENDED[model], default="720p")
    seconds = count(asked.body, "duration", least=1, most=LONGEST_Q2, default=5)
    price = _steps(EXTENDED[model][resolution], seconds)
    return known(price, model=model, resolution=resolution, seconds=seconds)


def frames(asked: Asked) -> Quote:
    """Price a video of many frames: each way from one to the next as an extension."""
    _check(asked)
    model = choice_of(asked.body, "model", EXTENDED)
    resolution = choice_of(asked.body, "resolution", EXTENDED[model], default="720p")
    ways = listed(asked.body, "image_settings", most=20)
    if not ways:
        raise InvalidRequest("image_settings must be a list of frames.")
    lengths = [count(each, "duration", least=1, most=LONGEST_Q2) for each in ways]
    price = sum(_steps(EXTENDED[model][resolution], seconds) for seconds in lengths)
    return known(price, model=model, resolution=resolution, seconds=lengths)


STATES = States(
    at="state",
    done=("success",),
    failed=("failed",),
    running=("processing", "created", "queueing"),
    results=("creations[].url",),
    why=("err_code", "err_msg"),
    hidden=("credits",),
)
_sentence = text_at("message")


def _reason(answer: Any) -> str:
    return f"{text_at('reason')(answer)} {_sentence(answer)}"


def _told(word: str, why: str = "") -> dict[str, Any]:
    return {"state": word, "err_code": why, "creations": []}


JOB = Job(
    poll="vidu/tasks/{task_id}/creations",
    job_id=id_at("task_id"),
    judge=STATES.judge,
    pending=lambda _: _told("processing"),
    failed=lambda _, why: _told("failed", why),
    results=STATES.made,
    assets=assets_at(("creation", "creations[].id")),
    interval_seconds=5.0,
    deadline_seconds=3 * 3600,
    kept_seconds=24 * 3600,
)


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    usual: dict[str, Any] = {"resolution": "1080p" if inputs["model"] == Q1 else "720p"}
    if "image_settings" not in asked.body:
        usual |= {"duration": 5}
    return saying(asked, without("callback_url", "payload")(asked, inputs), usual)


def _submit(name: str, title: str, price: Ruled) -> Operation:
    return Operation(
        "POST",
        f"vidu/{name}",
        f"/ent/v2/{name}",
        price,
        Kind.SUBMIT,
        job=JOB,
        prepare=_prepare,
        uses=ids_at(("creation", "video_creation_id")),
        reply=hiding("credits"),
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Vidu {title}",
    )


VIDU = Vendor(
    name="vidu",
    display="Vidu",
    base_url="https://api.vidu.com",
    credential=Header("authorization", "Token {}"),
    operations=(
        _submit("text2video", "Text to Video", _film(FROM_TEXT, q3=True)),
        _submit("img2video", "Image to Video", _film(FROM_PICTURES, q3=True)),
        _submit("start-end2video", "Start and End", _film(FROM_PICTURES, q3=True, first_two=True)),
        _submit("reference2video", "Reference to Video", Ruled(reference)),
        _submit("extend", "Extend", Ruled(extension)),
        _submit("multiframe", "Multi-Frame", Ruled(frames)),
        Operation(
            "GET",
            "vidu/tasks/{task_id}/creations",
            "/ent/v2/tasks/{task_id}/creations",
            kind=Kind.POLL,
            names=Named("path", "task_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": DATA},
    judge=by_words(
        _reason,
        (re.compile("CreditInsufficient|QuotaExceeded|Unauthorized"), Verdict.OPERATOR),
        (re.compile("PolicyViolation|AuditSubmitIllegal"), Verdict.MODERATED),
        (re.compile("TooManyRequests|SystemThrottling"), Verdict.BUSY),
    ),
    says=_sentence,
)
