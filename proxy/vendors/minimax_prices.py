"""What MiniMax' videos cost: the nodes' published prices.

S2V-01 has no badge: 0.65 is the vendor's list price, from knowledge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import InvalidRequest
from common.money import usd
from proxy.pricing.shapes import choice_of, count, known, longest, of_input, one_only, per_second
from proxy.vendors.states import listed

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.pricing import Quote


VERSION = "minimax-2026-08"
OLDER = {
    **dict.fromkeys(
        ("T2V-01", "T2V-01-Director", "I2V-01", "I2V-01-Director", "I2V-01-live"), "0.43"
    ),
    "S2V-01": "0.65",
}
HAILUO_02 = "MiniMax-Hailuo-02"
HAILUO = {("768p", 6): "0.28", ("768p", 10): "0.56", ("1080p", 6): "0.49"}
H3 = {"768p": "0.1287", "2k": "0.1859"}
FURTHER_PICTURE = usd("0.0572")
FREE_PICTURES = 5
REGENERATION = usd("0.0715")
LONGEST_REFERENCE = 15
"""Seconds of all videos of reference together; of a video that is regenerated, too."""
KINDS = ("text", "image_url", "video_url", "audio_url")


def v1(asked: Asked) -> Quote:
    """Price a video by its model; Hailuo 02 by resolution and seconds."""
    body = asked.body
    one_only(body)
    model = choice_of(body, "model", (*OLDER, HAILUO_02))
    if model != HAILUO_02.lower():
        return known(
            usd({name.lower(): price for name, price in OLDER.items()}[model]), model=model
        )
    resolution = choice_of(body, "resolution", ("768P", "1080P"), default="768P")
    seconds = count(body, "duration", least=6, most=10, default=6)
    if (resolution, seconds) not in HAILUO:
        raise InvalidRequest(f"duration {seconds} has no price here with {resolution}.")
    return known(usd(HAILUO[resolution, seconds]), model=model, resolution=resolution)


def _content(asked: Asked) -> dict[str, int]:
    """Count what a request of H3 holds, by kind."""
    one_only(asked.body)
    choice_of(asked.body, "model", ("MiniMax-H3",))
    kinds = [choice_of(part, "type", KINDS) for part in listed(asked.body, "content", most=30)]
    return {kind: kinds.count(kind) for kind in KINDS}


def video(asked: Asked) -> Quote:
    """Price a video by its seconds and those of its references, and by pictures beyond five."""
    held = _content(asked)
    resolution = choice_of(asked.body, "resolution", H3, default="768P")
    seconds = count(asked.body, "duration", least=4, most=15, default=6)
    rate = usd(H3[resolution])
    base = FURTHER_PICTURE * max(0, held["image_url"] - FREE_PICTURES)
    inputs = {"resolution": resolution, "pictures": held["image_url"]}
    if not held["video_url"]:
        return known(base + rate * seconds, **inputs, seconds=seconds)
    most = longest(asked, "content", least="0", most=f"{LONGEST_REFERENCE}", beside=seconds)
    return per_second(rate, least=f"{seconds}", most=most, base=base, **inputs)


def regeneration(asked: Asked) -> Quote:
    """Price a video that is made anew by its seconds."""
    _content(asked)
    choice_of(asked.body, "resolution", ("2K",), default="2K")
    most = f"{LONGEST_REFERENCE}"
    return of_input(asked, "content", REGENERATION, least="4", most=most)


def context(asked: Asked) -> Quote:
    """Price an enhanced prompt by how much there is to look at.

    Published are 0.02 for a text, 0.05 with frames, and 0.06 to 0.11 with references.
    """
    held = _content(asked)
    parts = sum(held.values())
    price = "0.11" if parts > 3 else "0.06" if parts > 1 else "0.02"
    return known(usd(price), parts=parts)
