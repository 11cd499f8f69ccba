"""What HeyGen costs: by the second that comes, held for the longest that a script may take."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import MICROS_PER_USD, Micros, round_up, usd
from proxy.pricing import Quote
from proxy.pricing.shapes import at, choice_of, known, longest, of_input, one_only, per_second

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence


VERSION = "heygen-2026-08"
ENGINES = {"avatar_iii": "0.023881", "avatar_iv": "0.0715", "avatar_v": "0.095381"}
TOP = {"avatar_iii": "0.061919", "avatar_iv": "0.095381", "avatar_v": "0.095381"}
"""The lower and the upper end of the published ranges, USD a second."""
UNSAID = "0.095381"
PHOTO = "0.0715"
TRANSLATIONS = {"speed": "0.047619", "precision": "0.095381"}
LONGEST_TRANSLATION = "1800"
LONGEST_SOUND = 600
SLOWEST = Fraction("7.5")
"""Characters of a script that are spoken in a second at the least: half of what is usual."""
LEAST_HELD = 10
SPEECH = Fraction("0.00095381") * MICROS_PER_USD
"""Micros a second."""
UNTOLD_SECONDS = 4
MOST_CHARACTERS = 5000
PAUSE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(ms|s)\b")
"""In a script, also within `<break time="1.5s"/>`: whatever may be a pause is held as one."""
DAY = 24 * 3600


def _spoken(text: Any, name: str, speed: Any) -> int:
    """Return how many seconds a script takes at the most."""
    if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
        raise InvalidRequest(f"{name} must be a text of at most {MOST_CHARACTERS} characters.")
    if speed is None:
        speed = 1
    if isinstance(speed, bool) or not isinstance(speed, (int, float)) or not 0.1 <= speed <= 4:
        raise InvalidRequest("speed must be a number from 0.1 to 4.")
    pauses = sum(
        Fraction(number) / (1000 if unit == "ms" else 1) for number, unit in PAUSE.findall(text)
    )
    seconds = math.ceil(len(text) / SLOWEST / Fraction(f"{speed}") + pauses)
    return min(DAY, max(LEAST_HELD, seconds))


def film(asked: Asked) -> Quote:
    """Price a film by engine and seconds, held at the upper end of what is published."""
    body = asked.body
    one_only(body)
    kind = choice_of(body, "type", ("image", "avatar"))
    choice_of(body, "resolution", ("720p", "1080p"), default="1080p")
    rate, top = PHOTO, PHOTO
    if kind == "avatar":
        engine = choice_of(body, "engine.type", (*ENGINES, "auto"), default="auto")
        rate, top = ENGINES.get(engine, UNSAID), TOP.get(engine, UNSAID)
    sound = math.ceil(Fraction(longest(asked, "audio_url", least="1", most=f"{LONGEST_SOUND}")))
    seconds = sound if body.get("audio_url") else LEAST_HELD
    if body.get("script") is not None:
        spoken = _spoken(body["script"], "script", at(body, "voice_settings.speed"))
        seconds = max(spoken, seconds if body.get("audio_url") else 0)
    elif not body.get("audio_url"):
        seconds = LONGEST_SOUND
    quoted = per_second(usd(rate), least="1", most=f"{seconds}", type=kind)
    return replace(quoted, most=Micros(usd(top) * seconds))


def translation(asked: Asked) -> Quote:
    """Price a translation of a video by its seconds."""
    one_only(asked.body)
    languages = asked.body.get("output_languages")
    if not isinstance(languages, list) or len(languages) != 1:
        raise InvalidRequest("output_languages has no price here: it must be a list of one.")
    mode = choice_of(asked.body, "mode", TRANSLATIONS, default="speed")
    rate = usd(TRANSLATIONS[mode])
    return of_input(asked, "video", rate, least="1", most=LONGEST_TRANSLATION, mode=mode)


def avatar(asked: Asked) -> Quote:
    """Price an avatar of a photo or of a prompt; a digital twin needs somebody's consent."""
    one_only(asked.body)
    return known(usd("1.43"), type=choice_of(asked.body, "type", ("photo", "prompt")))


@dataclass(frozen=True, slots=True)
class Speech:
    """So much for a second of speech, as the answer tells; held by the characters."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return what it costs if it is spoken slowly."""
        one_only(asked.body)
        seconds = _spoken(asked.body.get("text"), "text", asked.body.get("speed"))
        return Quote(round_up(SPEECH * seconds), {"seconds": seconds})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of what was spoken; where it is not told, of four seconds."""
        if not evidence.is_final:
            return None
        seconds = duration(evidence.end)
        return round_up(SPEECH * (UNTOLD_SECONDS if seconds is None else seconds))


def duration(answer: Any) -> Fraction | None:
    """Return the seconds that an answer tells; None where it tells none that can be."""
    found = at(answer, "data.duration")
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found < 1e6:
        return None
    return Fraction(f"{found}")
