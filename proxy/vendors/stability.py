"""Stability AI: pictures, upscales and sounds, in base64; one upscale is a job.

Everything is a form, and every answer JSON, whatever the client takes. What moderation took away
says so in `finish_reason`, of a job too, whose poll has no status: clients go by what is there, and
read an error then. Nodes had these operations until the beginning of 2026. Prices: theirs. Sources:
the vendor's published OpenAPI in a third party's copy, public clients; no SDK exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.money import usd
from proxy.catalogue import Job, Kind, Named, Operation, Takes, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.shapes import Ruled, known, model_of, only
from proxy.vendors.states import by_words, id_at, text_at, there

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "stability-2026-01"
SD3 = {
    "sd3.5-large": usd("0.065"),
    "sd3.5-large-turbo": usd("0.065"),
    "sd3.5-medium": usd("0.035"),
}
AUDIO_MODELS = ("stable-audio-2.5",)
FIELDS = (
    "prompt", "negative_prompt", "aspect_ratio", "seed", "style_preset", "mode", "strength",
    "cfg_scale", "creativity", "output_format",
)  # fmt: skip
AUDIO_FIELDS = (
    "prompt", "model", "duration", "seed", "steps", "cfg_scale", "strength", "output_format",
    "mask_start", "mask_end",
)  # fmt: skip
BLOCKED = "CONTENT_FILTERED"


def _flat(amount: str, *files: str) -> Ruled:
    def price(asked: Asked) -> Quote:
        """Price one picture, always the same."""
        _check(asked, FIELDS, files)
        return known(usd(amount))

    return Ruled(price)


def _sound(asked: Asked) -> Quote:
    """Price a sound, always the same."""
    _check(asked, AUDIO_FIELDS, ("audio",))
    model = model_of(asked.body, AUDIO_MODELS)
    return known(usd("0.2"), model=model)


def _sd3(asked: Asked) -> Quote:
    """Price a picture by its model."""
    _check(asked, (*FIELDS, "model"), ("image",))
    model = model_of(asked.body, SD3)
    return known(SD3[model], model=model)


def _check(asked: Asked, fields: tuple[str, ...], files: tuple[str, ...]) -> None:
    assert asked.form is not None, "a form was read"
    asked.form.check_files(*files)
    only(asked.body, fields)


NAME, SAYS = text_at("name"), text_at("errors[]", "message", "name")
BY_WORDS = by_words(SAYS)


def _judge(said: Said) -> Judged | None:
    """Return what an answer means: what was taken away is a 403, or in a 200 its reason."""
    is_blocked = said.object.get("finish_reason") == BLOCKED
    if is_blocked or NAME(said.json) == "content_moderation":
        return Judged(Verdict.MODERATED)
    return BY_WORDS(said)


def _judge_poll(said: Said) -> Judged | None:
    if said.status == 404:
        return Judged(Verdict.MISSING)
    if NAME(said.json) == "content_moderation" or said.object.get("finish_reason") == BLOCKED:
        return Judged(Verdict.MODERATED)
    if said.status not in DELIVERING:
        return None
    if said.status == 202:
        return Judged(Verdict.RUNNING)
    if said.object.get("result"):
        return Judged(Verdict.DONE)
    return Judged(Verdict.FAILED) if said.object.get("errors") else None


def _reply(answer: Any) -> Any:
    """Return a poll's answer as clients read it, who take every finish for a result."""
    if not isinstance(answer, dict) or answer.get("result") or "name" in answer:
        return answer
    if answer.get("finish_reason"):
        return _failed(f"{answer.get('id', '')}", "Content moderation took the result away.")
    return answer


def _failed(job: str, why: str) -> dict[str, Any]:
    return {"id": job, "name": "content_moderation" if "oderation" in why else "failed",
            "errors": [why]}  # fmt: skip


UPSCALE = Job(
    poll="stability/v2beta/results/{id}",
    job_id=id_at("id"),
    judge=_judge_poll,
    pending=lambda job: {"id": job, "status": "in-progress"},
    failed=_failed,
    interval_seconds=3.0,
    kept_seconds=24 * 3600,
)


def _form(path: str, title: str, price: Ruled, job: Job | None = None) -> Operation:
    return Operation(
        "POST",
        f"stability/v2beta/{path}",
        f"/v2beta/{path}",
        price,
        Kind.SUBMIT if job else Kind.SYNC,
        takes=Takes.FORM,
        sends_form=True,
        job=job,
        delivers=there("image", "audio"),
        price_version=VERSION,
        title=f"Stability {title}",
    )


IMAGE, AUDIO = "stable-image", "audio/stable-audio-2"
STABILITY = Vendor(
    name="stability",
    display="Stability AI",
    base_url="https://api.stability.ai",
    credential=bearer(accept="application/json"),
    operations=(
        _form(f"{IMAGE}/generate/ultra", "Ultra", _flat("0.08", "image")),
        _form(f"{IMAGE}/generate/sd3", "Diffusion 3.5", Ruled(_sd3)),
        _form(f"{IMAGE}/upscale/conservative", "Conservative Upscale", _flat("0.25", "image")),
        _form(f"{IMAGE}/upscale/creative", "Creative Upscale", _flat("0.25", "image"), UPSCALE),
        _form(f"{IMAGE}/upscale/fast", "Fast Upscale", _flat("0.01", "image")),
        _form(f"{AUDIO}/text-to-audio", "Text to Audio", Ruled(_sound)),
        _form(f"{AUDIO}/audio-to-audio", "Audio to Audio", Ruled(_sound)),
        _form(f"{AUDIO}/inpaint", "Audio Inpaint", Ruled(_sound)),
        Operation(
            "GET",
            "stability/v2beta/results/{id}",
            "/v2beta/results/{id}",
            kind=Kind.POLL,
            names=Named("path", "id"),
            reply=_reply,
            timeout_seconds=60,
        ),
    ),
    judge=_judge,
    says=SAYS,
)
