"""What xAI's pictures and videos cost: the nodes' prices of August 2026.

A picture costs by model, quality and size, and those that are shown; charged are those that
moderation let through. A video costs by model, size and length; an edited one by its length, an
extended one by that of the given and of the new part: what is delivered holds both.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.pricing import Quote
from proxy.pricing.shapes import choice_of, count, known, model_of, of_input, only, per_second
from proxy.vendors.states import listed

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence

VERSION = "xai-2026-08"

# --- Pictures -----------------------------------------------------------------------------------

NEWEST, QUALITY = "grok-imagine-image-2.0", "grok-imagine-image-quality"
IMAGES = {
    NEWEST: {"medium": ("0.06", "0.08"), "low": ("0.04", "0.06")},
    QUALITY: {"": ("0.05", "0.07")},
    "grok-imagine-image-pro": {"": ("0.07", "0.07")},
    "grok-imagine-image": {"": ("0.02", "0.02")},
}
"""USD by quality, at 1k and at 2k."""
SHOWN = {NEWEST: usd("0.01"), QUALITY: usd("0.01")}
SHOWN_ELSE = usd("0.002")
IMAGE_FIELDS = (
    "model", "prompt", "aspect_ratio", "n", "seed", "response_format", "resolution", "quality",
)  # fmt: skip
MOST, MOST_SHOWN, MOST_REFERENCES = 10, 10, 7


@dataclass(frozen=True, slots=True)
class Pictures:
    """By model, quality and size for each picture that comes, and by those that are shown."""

    shows: bool = False
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold all that were asked."""
        body = asked.body
        only(body, (*IMAGE_FIELDS, "images") if self.shows else IMAGE_FIELDS)
        model = model_of(body, IMAGES)
        rates = IMAGES[model]
        quality = choice_of(body, "quality", rates, default="medium") if "" not in rates else ""
        large = choice_of(body, "resolution", ("1k", "2k"), default="1k") == "2k"
        pictures = count(body, "n", least=1, most=MOST, default=1)
        shown = len(listed(body, "images", most=MOST_SHOWN))
        each, base = usd(rates[quality][large]), SHOWN.get(model, SHOWN_ELSE) * shown
        inputs = {"model": model, "n": pictures, "each": int(each), "base": int(base)}
        return Quote(Micros(each * pictures + base), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of what came."""
        if not evidence.is_final:
            return None
        came = len(let_through(evidence.end)) or inputs["n"]
        return Micros(inputs["each"] * min(came, inputs["n"]) + inputs["base"])

    def least(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of one picture."""
        return Micros(inputs["each"] + inputs["base"])


def pictures_of(answer: Any) -> list[dict[str, Any]]:
    """Return what an answer holds of pictures."""
    data = answer.get("data") if isinstance(answer, dict) else None
    return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []


def let_through(answer: Any) -> list[dict[str, Any]]:
    """Return those that moderation let through."""
    return [each for each in pictures_of(answer) if each.get("respect_moderation") is not False]


# --- Videos -------------------------------------------------------------------------------------

MARK_UP = Fraction(143, 100)
OLD, NEW = "grok-imagine-video", "grok-imagine-video-1.5"
VIDEOS = {
    OLD: {"480p": usd("0.05"), "720p": usd("0.07")},
    NEW: {"480p": usd("0.08"), "720p": usd("0.14"), "1080p": usd("0.25")},
}
PICTURE = {OLD: usd("0.002"), NEW: usd("0.01")}
VIDEO_FIELDS = (
    "model", "prompt", "image", "reference_images", "reference_audios", "duration",
    "aspect_ratio", "resolution", "seed",
)  # fmt: skip
EDITED, GIVEN, ADDED = usd("0.06"), usd("0.01"), usd("0.05")
LONGEST_EDITED, LONGEST_GIVEN = "8.7", 15
SHORTEST_EDITED, SHORTEST_GIVEN = "1", 2
"""Seconds that the vendor takes."""


def video(asked: Asked) -> Quote:
    """Price a video by model, size and length, and by the pictures that are shown."""
    body = asked.body
    only(body, VIDEO_FIELDS)
    model = model_of(body, VIDEOS)
    seconds = count(body, "duration", least=1, most=15)
    references = len(listed(body, "reference_images", most=MOST_REFERENCES))
    listed(body, "reference_audios", most=MOST_REFERENCES)
    if references and body.get("image"):
        raise InvalidRequest("image and reference_images have no price here together.")
    sizes = [each for each in VIDEOS[model] if each != "1080p" or not references]
    size = choice_of(body, "resolution", sizes, default="480p")
    shown = references or (1 if body.get("image") else 0)
    price = Fraction(VIDEOS[model][size] * seconds + PICTURE[model] * shown)
    if references or model == NEW:
        price *= MARK_UP
    return known(round_up(price), model=model, seconds=seconds, resolution=size, shown=shown)


def edit(asked: Asked) -> Quote:
    """Price an edit by the length of what is edited, which is that of what comes."""
    only(asked.body, ("model", "prompt", "video", "seed"))
    model_of(asked.body, VIDEOS)
    return of_input(asked, "video", EDITED, least=SHORTEST_EDITED, most=LONGEST_EDITED)


def extension(asked: Asked) -> Quote:
    """Price an extension by the length of both parts."""
    only(asked.body, ("model", "prompt", "video", "duration"))
    if asked.body.get("model") is not None:
        model_of(asked.body, VIDEOS)
    added = count(asked.body, "duration", least=1, most=10, default=6)
    given = asked.measured.get("video")
    if given is not None:
        given = max(Fraction(SHORTEST_GIVEN), given)
        return known(round_up(MARK_UP * (GIVEN * given + ADDED * added)), added=added)
    # What comes is as long as both: of each second of it the lower rate, of the new the difference.
    base = int(MARK_UP * (ADDED - GIVEN) * added)
    least, most = f"{SHORTEST_GIVEN + added}", f"{LONGEST_GIVEN + added}"
    return per_second(MARK_UP * GIVEN, least=least, most=most, base=base, added=added)
