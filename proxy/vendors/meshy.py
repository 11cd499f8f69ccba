"""Meshy: models, their textures, skeletons and movements; each kind of task has its own poll.

A task is made from an earlier one that is named by its id. Prices are those of the model that
`latest` is; an older one costs as much here. Fields that no node sends may cost (a finer texture
does): they are refused.
Source: docs.meshy.ai. Out of credit is a 402; a full queue is a 429, as a rate is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.pricing.shapes import Ruled, choice_of, known, only
from proxy.vendors.states import States, by_words, hiding, id_at, ids_at, saying, text_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "meshy-2026-08"
MODELS = ("latest", "meshy-6", "meshy-5")
SHAPE = (
    "ai_model", "topology", "target_polycount", "should_remesh", "symmetry_mode", "pose_mode",
    "seed", "moderation",
)  # fmt: skip
SKIN = ("should_texture", "enable_pbr", "texture_prompt", "texture_image_url")
PREVIEW = ("mode", "prompt", "negative_prompt", "art_style", *SHAPE)
REFINE = ("mode", "preview_task_id", "ai_model", "moderation", *SKIN[1:])
TEXTURE = (
    "input_task_id", "model_url", "ai_model", "enable_original_uv", "enable_pbr",
    "text_style_prompt", "image_style_url",
)  # fmt: skip
RIG = ("input_task_id", "model_url", "height_meters", "texture_image_url")
ANIMATION = ("rig_task_id", "action_id")
FROM_PICTURE = (usd("1.2"), usd("0.8"))
FROM_PICTURES = (usd("0.6"), usd("0.2"))
"""With a texture, and without."""


def _model(asked: Asked) -> str:
    return choice_of(asked.body, "ai_model", MODELS, default="latest")


def from_text(asked: Asked) -> Quote:
    """Price a shape, or the texture of one that was made before."""
    mode = choice_of(asked.body, "mode", ("preview", "refine"))
    only(asked.body, PREVIEW if mode == "preview" else REFINE)
    price = usd("0.8") if mode == "preview" else usd("0.4")
    return known(price, model=_model(asked), mode=mode)


def from_pictures(prices: tuple[int, int], *named: str) -> Ruled:
    """Return the rule of a model by whether it gets a texture, which it does unless told."""

    def rule(asked: Asked) -> Quote:
        only(asked.body, (*named, *SHAPE, *SKIN))
        textured = asked.body.get("should_texture")
        if textured is not None and not isinstance(textured, bool):
            raise InvalidRequest("should_texture must be true or false.")
        price = prices[1] if textured is False else prices[0]
        return known(price, model=_model(asked), texture=textured is not False)

    return Ruled(rule)


def texture(asked: Asked) -> Quote:
    """Price a new texture."""
    only(asked.body, TEXTURE)
    return known(usd("0.4"), model=_model(asked))


def _flat(price: str, names: tuple[str, ...]) -> Ruled:
    def rule(asked: Asked) -> Quote:
        only(asked.body, names)
        return known(usd(price))

    return Ruled(rule)


def _saying(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a body that says which model was priced, and that it gets a texture."""
    usual = {"should_texture": True} if "texture" in inputs else {}
    return saying(asked, None, {"ai_model": inputs["model"], **usual})


# --- What Meshy says -----------------------------------------------------------------------------

STATES = States(
    at="status",
    done=("SUCCEEDED",),
    failed=("FAILED", "CANCELED"),
    running=("IN_PROGRESS", "PENDING"),
    results=("model_urls.glb", "result.rigged_character_glb_url", "result.animation_glb_url"),
    why=("task_error.message",),
    hidden=("consumed_credits",),
)
_says = text_at("message")


def _reply(answer: Any) -> Any:
    """Return a poll's answer without a result that is not there yet: nodes take no null there."""
    told = STATES.reply(answer)
    if isinstance(told, dict) and told.get("result", ...) is None:
        return {name: value for name, value in told.items() if name != "result"}
    return told


def _told(kind: str, task: str, word: str, why: str = "") -> dict[str, Any]:
    """Return what we say in Meshy's words; clients insist on a type and a picture's address."""
    said = {"message": why} if why else None
    return {"id": task, "type": kind, "status": word, "thumbnail_url": "", "progress": 0,
            "task_error": said}  # fmt: skip


def _job(path: str) -> Job:
    kind = path.rpartition("/")[2]
    return Job(
        poll=f"meshy/openapi/{path}/{{task_id}}",
        job_id=id_at("result"),
        judge=STATES.judge,
        pending=lambda task: _told(kind, task, "IN_PROGRESS"),
        failed=lambda task, why: _told(kind, task, "FAILED", why),
        results=STATES.made,
        interval_seconds=5.0,
        deadline_seconds=3 * 3600,
        kept_seconds=3 * 24 * 3600,
    )


def _both(
    path: str, title: str, price: Ruled, *made_from: str, says_model: bool = True
) -> tuple[Operation, Operation]:
    """Return the submit and the poll of a kind of task."""
    uses: Callable[[Asked], Any] = ids_at(*(("task", name) for name in made_from))
    return (
        Operation(
            "POST",
            f"meshy/openapi/{path}",
            f"/openapi/{path}",
            price,
            Kind.SUBMIT,
            job=_job(path),
            prepare=_saying if says_model else None,
            uses=uses if made_from else None,
            reply=hiding("consumed_credits"),
            timeout_seconds=300,
            price_version=VERSION,
            title=f"Meshy {title}",
        ),
        Operation(
            "GET",
            f"meshy/openapi/{path}/{{task_id}}",
            f"/openapi/{path}/{{task_id}}",
            kind=Kind.POLL,
            names=Named("path", "task_id"),
            reply=_reply,
            timeout_seconds=60,
        ),
    )


MESHY = Vendor(
    name="meshy",
    display="Meshy",
    base_url="https://api.meshy.ai",
    credential=bearer(),
    operations=(
        *_both("v2/text-to-3d", "Text to Model", Ruled(from_text), "preview_task_id"),
        *_both("v1/image-to-3d", "Image to Model", from_pictures(FROM_PICTURE, "image_url")),
        *_both(
            "v1/multi-image-to-3d", "Images to Model", from_pictures(FROM_PICTURES, "image_urls")
        ),
        *_both("v1/retexture", "Texture", Ruled(texture), "input_task_id"),
        *_both("v1/rigging", "Rig", _flat("0.2", RIG), "input_task_id", says_model=False),
        *_both(
            "v1/animations", "Animate", _flat("0.12", ANIMATION), "rig_task_id", says_model=False
        ),
    ),
    along={"image": DATA, "model": DATA},
    judge=by_words(_says),
    says=_says,
)
