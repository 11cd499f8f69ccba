"""What Tripo's tasks cost, by the type that clients of v2 name, and what of v2 has ended.

What v3 has no path for is refused. A field that no node sends is refused, too: parts, a low poly
and other works cost more. A quad of several views costs nothing more at clients, though it does at
the vendor. Prices of the nodes of August 2026.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.pricing.shapes import choice_of, count, known, only
from proxy.withdrawn import Gone, Withdrawn

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.pricing import Quote

CREDIT = usd("0.01")
ENDED = "2026-10-31"
GONE = Withdrawn(
    "tripo",
    "Tripo",
    {
        "v1.4-20240625": Gone(ENDED, "v2.5-20250123", is_played=False),
        "v2.0-20240919": Gone(ENDED, "v2.5-20250123", is_played=False),
        "refine_model": Gone(ENDED, "texture_model"),
        "stylize_model": Gone(ENDED),
    },
)
USUAL = "v2.5-20250123"
P1 = "P1-20260311"
MODELS = (USUAL, "v3.0-20250812", "v3.1-20260211", P1, "v1.4-20240625", "v2.0-20240919")
KINDS = (
    "text_to_model", "image_to_model", "multiview_to_model", "texture_model", "convert_model",
    "animate_rig", "animate_retarget",
)  # fmt: skip
MADE = {
    # Credits of a shape alone, with a texture, and with a detailed one; of P1, and of v1.4.
    "text_to_model": ((10, 20, 30), (30, 40, 50), 20),
    "image_to_model": ((20, 30, 40), (40, 50, 60), 30),
    "multiview_to_model": ((20, 30, 40), (40, 50, 60), 30),
}
QUAD, DETAILED, FINE_SHAPE = 5, 10, 20
OF_MAKING = (
    "type", "model_version", "face_limit", "texture", "pbr", "image_seed", "model_seed",
    "texture_seed", "texture_quality", "geometry_quality", "auto_size", "quad", "style",
    "compress", "export_uv",
)  # fmt: skip
OF_PICTURES = ("texture_alignment", "orientation", "enable_image_autofix")
FIELDS = {
    "text_to_model": (*OF_MAKING, "prompt", "negative_prompt"),
    "image_to_model": (*OF_MAKING, *OF_PICTURES, "file"),
    "multiview_to_model": (*OF_MAKING, *OF_PICTURES, "files", "orthographic_projection"),
    "texture_model": ("type", "original_model_task_id", "texture", "pbr", "model_seed",
                      "texture_seed", "texture_quality", "texture_alignment", "texture_prompt"),
    "animate_rig": ("type", "original_model_task_id", "out_format", "spec", "model_version"),
    "animate_retarget": ("type", "original_model_task_id", "animation", "out_format",
                         "bake_animation"),
}  # fmt: skip
PLAIN = (
    "type", "format", "original_model_task_id", "face_limit", "flatten_bottom_threshold",
    "texture_size", "texture_format", "scale_factor", "fbx_preset", "export_orientation",
    "part_names",
)  # fmt: skip
DEARER = (
    "quad", "force_symmetry", "flatten_bottom", "pivot_to_center_bottom", "with_animation",
    "pack_uv", "bake", "export_vertex_colors", "animate_in_place",
)  # fmt: skip
"""Of a conversion: any of them doubles its price."""
FORMATS = ("GLTF", "USDZ", "FBX", "OBJ", "STL", "3MF")
RIGS = {"v1.0-20240301": "v1.0-20240301", "v2.0-20250506": "v2.5-20260210",
        "v2.5-20260210": "v2.5-20260210"}  # fmt: skip
"""Of v2, and which of v3 serves them."""
MOST_FACES = 2_000_000


def task(asked: Asked) -> Quote:
    """Price a task of v2 by its type."""
    body = asked.body
    kind = body.get("type")
    if isinstance(kind, str):
        GONE.check(kind)
    kind = choice_of(body, "type", KINDS)
    if kind == "convert_model":
        return _conversion(body)
    only(body, FIELDS[kind])
    if kind in MADE:
        return _made(kind, body)
    if kind == "texture_model":
        credits_ = 2 * DETAILED if _quality(body, "texture_quality") else DETAILED
        _prompt(body)
    elif kind == "animate_rig":
        credits_ = 25
        choice_of(body, "model_version", RIGS, default="v1.0-20240301")
    else:
        credits_ = 10
        asked.text("animation")  # A list of them would be as many.
    return known(CREDIT * credits_, kind=kind)


def _made(kind: str, body: dict[str, Any]) -> Quote:
    shape, p1, oldest = MADE[kind]
    given = body.get("model_version")
    if isinstance(given, str):
        GONE.check(given)
    choice_of(body, "model_version", MODELS, default=USUAL)
    model = given or USUAL
    if body.get("style") not in (None, "None"):
        raise InvalidRequest(f"Tripo withdrew styles on {ENDED}. Please leave style out.")
    faces(body)
    textured = _flag(body, "texture", usual=True) | _flag(body, "pbr", usual=True)
    detailed = _quality(body, "texture_quality")
    fine, quad = _quality(body, "geometry_quality"), _flag(body, "quad")
    if model == P1:
        credits_ = p1[1 + detailed if textured else 0]
    elif "v1.4" in model:
        credits_ = oldest
    else:
        credits_ = shape[1 if textured else 0] + DETAILED * detailed
        credits_ += QUAD * quad * (kind != "multiview_to_model")
        credits_ += FINE_SHAPE * fine * model.startswith("v3.")
    return known(CREDIT * credits_, kind=kind, model=model)


def _conversion(body: dict[str, Any]) -> Quote:
    only(body, (*PLAIN, *DEARER))
    choice_of(body, "format", FORMATS)
    flags = [_flag(body, name) for name in DEARER]
    names = body.get("part_names")
    if names is not None and not isinstance(names, list):
        raise InvalidRequest("part_names must be a list.")
    dearer = any(flags) or names is not None or faces(body) > 0
    return known(CREDIT * (10 if dearer else 5), kind="convert_model", dearer=dearer)


def _flag(body: dict[str, Any], name: str, *, usual: bool = False) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false.")
    return usual if value is None else value


def _quality(body: dict[str, Any], name: str) -> bool:
    return choice_of(body, name, ("standard", "detailed"), default="standard") == "detailed"


def faces(body: dict[str, Any]) -> int:
    """Return the limit of faces; -1 where there is none."""
    return count(body, "face_limit", least=-1, most=MOST_FACES, default=-1)


def _prompt(body: dict[str, Any]) -> None:
    prompt = body.get("texture_prompt")
    if prompt is not None:
        if not isinstance(prompt, dict):
            raise InvalidRequest("texture_prompt must be an object.")
        only(prompt, ("text",), "texture_prompt")
