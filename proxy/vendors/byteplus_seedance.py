"""What Seedance costs: by the tokens that its end reports, which are pixels by frames.

Seedance 1 has its options in the prompt, as `--name value`, or in fields; what is not said is held
as the most. Held: for 1.x the top of the range that nodes show and a tenth more, for 2.x the widest
frames, and the longest references. Prices: the nodes' of August 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.pricing import Quote
from proxy.pricing.shapes import choice_of, count, model_of, one_only, only
from proxy.pricing.tokens import MILLION, number
from proxy.vendors.byteplus_prices import ADDRESS, is_on
from proxy.vendors.states import listed

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence

RESOLUTIONS = ("480p", "720p", "1080p", "4k")
FRAME = dict(zip(RESOLUTIONS, ("418.5", "905.7", "2038", "8133.4"), strict=True))
"""Tokens of a frame of the widest kind."""
FRAMES_A_SECOND = 24
ONE = {
    # USD a million tokens, and the top of the range for ten seconds by resolution.
    "seedance-1-5-pro-251215": ("1.2", ("0.12", "0.26", "0.59")),
    "seedance-1-0-pro-250528": ("2.5", ("0.24", "0.56", "1.22")),
    "seedance-1-0-pro-fast-251015": ("1", ("0.1", "0.23", "0.49")),
    "seedance-1-0-lite-t2v-250428": ("1.8", ("0.18", "0.41", "0.88")),
    "seedance-1-0-lite-i2v-250428": ("1.8", ("0.18", "0.41", "0.88")),
}
WITH_SOUND = "seedance-1-5-pro-251215"
LONGEST_ONE = 12
TWO: dict[str, dict[str, tuple[str, str]]] = {
    # The same by resolution: without a video of reference, and with one.
    "dreamina-seedance-2-5-260628": {
        **dict.fromkeys(("480p", "720p"), ("15.301", "9.152")),
        "1080p": ("16.731", "10.01"),
    },
    "dreamina-seedance-2-0-260128": {
        **dict.fromkeys(("480p", "720p"), ("10.01", "6.149")),
        "1080p": ("11.011", "6.721"),
        "4k": ("5.72", "3.432"),
    },
    "dreamina-seedance-2-0-fast-260128": dict.fromkeys(("480p", "720p"), ("8.008", "4.719")),
    "dreamina-seedance-2-0-mini": dict.fromkeys(("480p", "720p"), ("5.005", "3.003")),
}
LONGEST_TWO = 30
"""Seconds of a video, also of one that is as long as its source; and of those of reference."""
USUAL_SECONDS = 5
LEAST_SECONDS = 4
FIELDS = (
    "model", "content", "generate_audio", "resolution", "ratio", "duration", "seed", "watermark",
    "camera_fixed", "output_format", "omni_reference_task_type", "callback_url",
)  # fmt: skip
FLAG = re.compile(r"--(\w+)[ \t=]+(\S+)")
NAMES = {"resolution": "resolution", "rs": "resolution", "duration": "duration", "dur": "duration"}
DEARER = ("frames", "fps", "framespersecond", "draft", "service_tier", "generate_audio", "n")
"""Of a prompt: what else might decide the price."""


@dataclass(frozen=True, slots=True)
class Video:
    """By the tokens that the end reports."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold the most tokens that such a video can have."""
        body = asked.body
        one_only(body)
        only(body, FIELDS)
        model = model_of(body, (*ONE, *TWO))
        addresses(body)
        rate, most, seconds, resolution = _one(body, model) if model in ONE else _two(body, model)
        usual = Fraction(FRAME[resolution]) * FRAMES_A_SECOND * (seconds or LEAST_SECONDS)
        inputs = {"model": model, "resolution": resolution, "rate": int(rate)}
        return Quote(most, {**inputs, "usual_tokens": int(usual), "held": int(most)})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of the reported tokens; of usual ones where none are reported."""
        if not evidence.is_final:
            return None
        tokens = tokens_of(evidence.end)
        price = round_up(Fraction((tokens or inputs["usual_tokens"]) * inputs["rate"], MILLION))
        return price if tokens else min(price, Micros(inputs["held"]))


def tokens_of(answer: Any) -> int:
    """Return the tokens that an end reports, 0 where it reports none."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    return number(usage.get("completion_tokens")) if isinstance(usage, dict) else 0


def addresses(body: dict[str, Any]) -> list[str]:
    """Return the addresses that a video is made from; raise InvalidRequest for what is none."""
    found = []
    for part in listed(body, "content", most=100):
        kind = choice_of(part, "type", ("text", "image_url", "video_url", "audio_url"))
        if kind == "text":
            if not isinstance(part.get("text"), str):
                raise InvalidRequest("content needs a text.")
            continue
        holder = part.get(kind)
        url = holder.get("url") if isinstance(holder, dict) else None
        if not isinstance(url, str) or not ADDRESS.match(url):
            raise InvalidRequest(f"content needs an address in {kind}.url.")
        found.append(url)
    return found


def _flags(body: dict[str, Any]) -> dict[str, str]:
    """Return what a prompt says of the price; raise InvalidRequest where it says it twice."""
    said: dict[str, str] = {}
    for part in listed(body, "content", most=100):
        for flag, value in FLAG.findall(part.get("text") or ""):
            if flag.lower() in DEARER:
                raise InvalidRequest(f"--{flag} has no price here. Please leave it out.")
            name = NAMES.get(flag.lower())
            if name is None:
                continue
            if name in said or body.get(name) is not None:
                raise InvalidRequest(f"{name} is given twice: please leave one out.")
            said[name] = value
    return said


def _one(body: dict[str, Any], model: str) -> tuple[Micros, Micros, int, str]:
    rate, tops = ONE[model]
    if any(part.get("type") not in ("text", "image_url") for part in body.get("content") or []):
        raise InvalidRequest(f"content of {model} must be texts and images.")
    said = {**{name: body.get(name) for name in ("resolution", "duration")}, **_flags(body)}
    resolution = choice_of(said, "resolution", RESOLUTIONS[:3], default="1080p")
    given = said["duration"] if said["duration"] not in ("-1", -1) else None
    seconds = count({"duration": given}, "duration", least=2, most=LONGEST_ONE, default=LONGEST_ONE)
    sound = model == WITH_SOUND and is_on(body, "generate_audio")
    price = usd(tops[RESOLUTIONS.index(resolution)]) * (2 if sound else 1)
    most = round_up(Fraction(price * seconds, 10) * Fraction(11, 10))
    return (
        Micros(usd(rate) * (2 if sound else 1)),
        most,
        0 if given is None else seconds,
        resolution,
    )


def _two(body: dict[str, Any], model: str) -> tuple[Micros, Micros, int, str]:
    if said := _flags(body):
        raise InvalidRequest(f"{next(iter(said))} of {model} is a field, not a part of the prompt.")
    is_on(body, "generate_audio")
    resolution = choice_of(body, "resolution", TWO[model], default="720p")
    has_video = any(part.get("type") == "video_url" for part in body.get("content") or [])
    rate = usd(TWO[model][resolution][has_video])
    given = body.get("duration")
    as_source = given == -1 and not isinstance(given, bool)
    asked = None if as_source else given
    seconds = count(
        {"duration": asked}, "duration", least=2, most=LONGEST_TWO, default=USUAL_SECONDS
    )
    longest = (LONGEST_TWO if as_source else seconds) + (LONGEST_TWO if has_video else 0)
    tokens = Fraction(FRAME[resolution]) * (FRAMES_A_SECOND * longest + 1)
    return rate, round_up(tokens * rate / MILLION), 0 if as_source else seconds, resolution
