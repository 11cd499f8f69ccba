"""Ideogram: pictures of four generations, answered at once; the key goes in `Api-Key`.

From v3 on the vendor takes multipart forms only: the JSON of the later nodes becomes one, with a
structured prompt as JSON text. The mask of a character has another name there. A picture that is
not safe is a 200 with an empty address, and billed; a prompt that is not is a 422, and free.
Prices: the nodes' published ones of August 2026, of the older models rounded to cents.
Sources: the vendor's OpenAPI and pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from common.errors import InvalidRequest
from common.money import MICROS_PER_CENT, Micros, usd
from proxy.catalogue import Operation, Takes, Vendor
from proxy.credentials import Header
from proxy.pricing.shapes import Ruled, choice_of, count, known, model_of, only
from proxy.vendors.states import by_words, text_at, there

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "ideogram-2026-08"
MODELS = {
    "V_1": usd("0.0858"),
    "V_1_TURBO": usd("0.0286"),
    "V_2": usd("0.1144"),
    "V_2_TURBO": usd("0.0715"),
}
V3 = {"default": usd("0.0858"), "turbo": usd("0.0429"), "quality": usd("0.1287")}
V3_CHARACTER = {"default": usd("0.2145"), "turbo": usd("0.143"), "quality": usd("0.286")}
V4 = {"default": usd("0.0858"), "turbo": usd("0.0429"), "quality": usd("0.143")}
P_IMAGE = {
    "very_low": usd("0.00429"),
    "low": usd("0.010725"),
    "medium": usd("0.0143"),
    "high": usd("0.02145"),
}
MOST = 8
CHARACTER = "character_reference_images"
MASK = f"{CHARACTER}_mask"
OLD_MASK = "character_mask_binary"
FILES = ("image", "mask", CHARACTER, MASK, OLD_MASK, "style_reference_images")
V3_FIELDS = (
    "prompt", "rendering_speed", "num_images", "aspect_ratio", "resolution", "seed",
    "magic_prompt", "magic_prompt_option", "negative_prompt", "style_type", "style_codes",
    "color_palette",
)  # fmt: skip
OLD_FIELDS = (
    "prompt", "model", "num_images", "aspect_ratio", "resolution", "seed", "magic_prompt_option",
    "negative_prompt", "style_type", "color_palette",
)  # fmt: skip
V4_FIELDS = (
    "text_prompt", "json_prompt", "resolution", "rendering_speed", "enable_copyright_detection",
)  # fmt: skip
P_FIELDS = ("prompt", "quality", "resolution", "aspect_ratio", "prompt_upsampling", "seed")


def cents(price: int) -> Micros:
    """Return a price rounded to cents, half a cent up, as the badge shows it."""
    return Micros((price + MICROS_PER_CENT // 2) // MICROS_PER_CENT * MICROS_PER_CENT)


def old(asked: Asked) -> Quote:
    """Price the first two generations by model and number."""
    only(asked.body, ("image_request",))
    asking = asked.body.get("image_request")
    if not isinstance(asking, dict):
        raise InvalidRequest("image_request must be an object.")
    only(asking, OLD_FIELDS, "image_request")
    model = model_of(asked.body, MODELS, "image_request.model")
    pictures = count(asked.body, "image_request.num_images", least=1, most=MOST, default=1)
    return known(cents(MODELS[model] * pictures), model=model, n=pictures)


def v3(asked: Asked) -> Quote:
    """Price the third by speed, number, and whether a character is shown, in whatever field."""
    assert asked.form is not None, "a form was read"
    asked.form.check_files(*FILES)
    only(asked.body, V3_FIELDS)
    speed = choice_of(asked.body, "rendering_speed", V3, default="DEFAULT")
    pictures = count(asked.body, "num_images", least=1, most=MOST, default=1)
    character = any(asked.form.has_file(name) for name in (CHARACTER, MASK, OLD_MASK))
    price = (V3_CHARACTER if character else V3)[speed] * pictures
    return known(cents(price), speed=speed, n=pictures, character=character)


def v4(asked: Asked) -> Quote:
    """Price the fourth by its speed."""
    only(asked.body, V4_FIELDS)
    speed = choice_of(asked.body, "rendering_speed", V4, default="DEFAULT")
    return known(V4[speed], speed=speed)


def p_image(asked: Asked) -> Quote:
    """Price a P-Image by quality, twice as much at 2K."""
    only(asked.body, P_FIELDS)
    quality = choice_of(asked.body, "quality", P_IMAGE, default="MEDIUM")
    resolution = choice_of(asked.body, "resolution", ("1K", "2K"), default="1K")
    price = P_IMAGE[quality] * (2 if resolution == "2k" else 1)
    return known(price, quality=quality, resolution=resolution)


def _fields(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON as the fields of a form: what has parts as JSON text, truth as the word."""
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in asked.body.items()
        if value is not None
    }


def _v3(path: str, title: str) -> Operation:
    return Operation(
        "POST",
        f"ideogram/ideogram-v3/{path}",
        f"/v1/ideogram-v3/{path}",
        Ruled(v3),
        takes=Takes.FORM,
        sends_form=True,
        file_names={OLD_MASK: MASK},
        repeated=("style_codes",),
        delivers=there("data[]"),
        price_version=VERSION,
        title=f"Ideogram V3 {title}",
    )


SAYS = text_at("error", "message", "detail", "reject_reason")
IDEOGRAM = Vendor(
    name="ideogram",
    display="Ideogram",
    base_url="https://api.ideogram.ai",
    credential=Header("api-key"),
    operations=(
        Operation(
            "POST",
            "ideogram/generate",
            "/generate",
            Ruled(old),
            delivers=there("data[]"),
            price_version=VERSION,
            title="Ideogram",
        ),
        _v3("generate", "Image"),
        _v3("edit", "Edit"),
        Operation(
            "POST",
            "ideogram/ideogram-v4/generate",
            "/v1/ideogram-v4/generate",
            Ruled(v4),
            prepare=_fields,
            sends_form=True,
            delivers=there("data[]"),
            price_version=VERSION,
            title="Ideogram V4",
        ),
        Operation(
            "POST",
            "ideogram/text-to-image/p-image-ideogram",
            "/v1/text-to-image/p-image-ideogram",
            Ruled(p_image),
            prepare=_fields,
            sends_form=True,
            delivers=there("data[]"),
            price_version=VERSION,
            title="Ideogram P-Image",
        ),
    ),
    judge=by_words(SAYS),
    says=SAYS,
)
