"""What BytePlus's pictures, texts and sounds cost: by those that come, by tokens, by seconds.

Held: a series at its longest, layers at twenty, a sound at the longest that is billed. Prices: the
nodes' of August 2026; that of Seed's texts does not rise with a long input, though it does at the
vendor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.pricing import Quote
from proxy.pricing.language import Extent, Model, limit_of, off, texts_of
from proxy.pricing.shapes import choice_of, count, model_of, one_only, only
from proxy.vendors.states import listed

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence

VERSION = "byteplus-2026-08"
ADDRESS = re.compile(r"(https?://|data:|asset://)", re.I)


def is_on(body: dict[str, Any], name: str) -> bool:
    """Return a switch, which is on unless told; raise InvalidRequest for what is none."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false.")
    return value is not False


# --- Pictures ------------------------------------------------------------------------------------

PICTURES = {
    "seedream-3-0-t2i-250415": "0.03", "seededit-3-0-i2i-250628": "0.03",
    "seedream-4-0-250828": "0.03", "seedream-4-5-251128": "0.04", "seedream-5-0-260128": "0.035",
    "seedream-5-0-pro-260628": "0.09",
}  # fmt: skip
PRO = "seedream-5-0-pro-260628"
SMALL_PRO, SMALL_PIXELS = usd("0.045"), 2_360_000
FURTHER_PICTURE = usd("0.003")
LAYER, SMALL_LAYER, SMALL_LAYERS = usd("0.064"), usd("0.032"), ("1K", "1.5K")
MOST_LAYERS, MOST_IN_A_ROW = 20, 15
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
OF_A_PICTURE = (
    "model", "prompt", "image", "size", "seed", "guidance_scale", "watermark", "response_format",
    "sequential_image_generation", "sequential_image_generation_options", "output_format",
    "optimize_prompt_options", "layer_decomposition", "stream",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pictures:
    """By the pictures that come; held for as many as may."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold a series at its longest, layers at twenty."""
        body = asked.body
        one_only(body)
        only(body, OF_A_PICTURE)
        off(body, "stream")
        model = model_of(body, PICTURES)
        layers = body.get("layer_decomposition") is not None and is_on(body, "layer_decomposition")
        if layers and model != PRO:
            raise InvalidRequest(f"layer_decomposition has no price here with {model}.")
        shown, number_ = _shown(body), MOST_LAYERS if layers else _in_a_row(body)
        extra = FURTHER_PICTURE * max(0, shown - 1) if model == PRO and not layers else 0
        each = _layer(body) if layers else _picture(body, model)
        inputs = {"model": model, "each": int(each), "extra": int(extra), "number": number_}
        return Quote(Micros(each * number_ + extra), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of those that came."""
        if not evidence.is_final:
            return None
        came = len(pictures(evidence.end))
        return Micros(inputs["each"] * came + (inputs["extra"] if came else 0))


def pictures(answer: Any) -> list[Any]:
    """Return the pictures in an answer: those that failed have an error in their place."""
    data = answer.get("data") if isinstance(answer, dict) else None
    found = data if isinstance(data, list) else []
    return [
        each
        for each in found
        if isinstance(each, dict) and (each.get("url") or each.get("b64_json"))
    ]


def _shown(body: dict[str, Any]) -> int:
    given = body.get("image")
    images = given if isinstance(given, list) else [] if given is None else [given]
    for url in images:
        if not isinstance(url, str) or not ADDRESS.match(url) or url.lower().startswith("asset:"):
            raise InvalidRequest("image must be addresses that begin with http, or data.")
    return len(images)


def _in_a_row(body: dict[str, Any]) -> int:
    path = "sequential_image_generation"
    if choice_of(body, path, ("auto", "disabled"), default="disabled") == "disabled":
        return 1
    return count(
        body, f"{path}_options.max_images", least=1, most=MOST_IN_A_ROW, default=MOST_IN_A_ROW
    )


def _size(body: dict[str, Any]) -> str:
    size = body.get("size")
    if size is not None and (not isinstance(size, str) or len(size) > 20):
        raise InvalidRequest("size must be a text like 2048x2048.")
    return size or ""


def _layer(body: dict[str, Any]) -> Micros:
    return SMALL_LAYER if _size(body).upper() in SMALL_LAYERS else LAYER


def _picture(body: dict[str, Any], model: str) -> Micros:
    sides = SIZE.fullmatch(_size(body)) if model == PRO else None
    if sides and int(sides[1]) * int(sides[2]) <= SMALL_PIXELS:
        return SMALL_PRO
    return usd(PICTURES[model])


# --- Texts ---------------------------------------------------------------------------------------

SHOWN_TOKENS = 60_000
SEED = {
    name: Model(usd(input_), usd(output), 32_768, 256_000)
    for name, input_, output in (
        ("seed-2-0-pro-260328", "0.5", "3"),
        ("seed-2-0-lite-260228", "0.3", "2"),
        ("seed-2-0-mini-260215", "0.25", "0.9"),
    )
}
OF_A_TEXT = (
    "model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "store",
    "stream",
)  # fmt: skip


def response(asked: Asked) -> Extent:
    """Read what a response can come to."""
    body = asked.body
    only(body, OF_A_TEXT)
    off(body, "stream")
    name, media = model_of(body, SEED), _media(body)
    return Extent(
        name,
        SEED[name],
        texts=texts_of(body, *media),
        media=len(media),
        tokens=SHOWN_TOKENS * len(media),
        wanted=limit_of(body, "max_output_tokens"),
    )


def _media(body: dict[str, Any]) -> list[str]:
    if isinstance(body.get("input"), str):
        return []
    found = []
    for message in listed(body, "input", most=1000):
        choice_of(message, "type", ("message",), default="message")
        content = message.get("content")
        for part in [] if isinstance(content, str) else listed(message, "content", most=1000):
            kind = choice_of(
                part, "type", ("input_text", "output_text", "input_image", "input_video")
            )
            if kind in ("input_image", "input_video"):
                data = part.get(f"{kind.removeprefix('input_')}_url")
                if not isinstance(data, str) or not ADDRESS.match(data):
                    raise InvalidRequest(f"{kind} needs an address.")
                found.append(data)
    return found


# --- Sounds ------------------------------------------------------------------

SOUNDS = ("seed-audio-1.0", "seed-audio-1.0-multilingual")
A_MINUTE = usd("0.2145")
LONGEST_SOUND = 120
"""Seconds that are billed at the most: no field of a request bounds them."""


@dataclass(frozen=True, slots=True)
class Sound:
    """By the seconds that were made."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold the longest that is billed."""
        one_only(asked.body)
        only(asked.body, ("model", "text_prompt", "references", "audio_config", "watermark"))
        inputs = {"model": model_of(asked.body, SOUNDS), "longest": LONGEST_SOUND}
        return Quote(round_up(Fraction(A_MINUTE * LONGEST_SOUND, 60)), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of its seconds; of one where the answer says none."""
        if not evidence.is_final:
            return None
        seconds = min(sound_seconds(evidence.end) or Fraction(1), Fraction(inputs["longest"]))
        return round_up(A_MINUTE * seconds / 60)


def sound_seconds(answer: Any) -> Fraction | None:
    """Return the seconds that are billed, as an answer says them."""
    return seconds_at(answer, "original_duration") or seconds_at(answer, "duration")


def seconds_at(answer: Any, name: str) -> Fraction | None:
    """Return a length that an answer states; None if that is none."""
    value = answer.get(name) if isinstance(answer, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e6:
        return None
    return Fraction(f"{value}")
