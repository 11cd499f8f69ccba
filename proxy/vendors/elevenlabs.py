"""ElevenLabs: speech, sounds and transcripts; most answers are the sound itself.

Speech costs by characters, what is made of a sound by its length, which is measured where the sound
comes along. A transcript is of an address: held for the longest, and settled by the end of the last
word that was heard. Sound effects are made by the model that the node's price is of, which it does
not name. A voice that somebody cloned is theirs alone; those of the library are everybody's.
Speech to speech has moved to another path. Out of credit is a 402 or a 401. Sources: the vendor's
package 2.78.0, its pages on errors. Prices: the nodes' of August 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy import listening
from proxy.along import Part
from proxy.catalogue import PUBLIC, Gives, Operation, Takes, Vendor
from proxy.credentials import Header
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.inputs import Input
from proxy.pricing import Quote
from proxy.pricing.shapes import Ruled, known, model_of, of_input, only
from proxy.vendors.states import file_at, listed, text_at, there

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from proxy.asked import Asked, Evidence
    from proxy.catalogue import Asset, Use
    from proxy.dialect import Said
    from proxy.pricing import Price

VERSION = "elevenlabs-2026-08"
MINUTE = 60
CHARACTER = usd("0.24") // 1000
CHANGED, EFFECT, HEARD = usd("0.24"), usd("0.14"), usd("0.0073")
"""USD a minute."""
CLONED = usd("0.15")
SPEAKERS = ("eleven_v3", "eleven_multilingual_v2")
CHANGERS = ("eleven_multilingual_sts_v2", "eleven_english_sts_v2")
EFFECTS = "eleven_text_to_sound_v2"
SCRIBES = ("scribe_v2",)
MOST_CHARACTERS = 40_000
LONGEST_HEARD = 36_000
"""Seconds: ten hours, the most that is transcribed."""
LONGEST_CHANGED = 7_200
SPEECH_FIELDS = (
    "text", "model_id", "language_code", "voice_settings", "seed", "apply_text_normalization",
)  # fmt: skip
DIALOGUE_FIELDS = (
    "inputs", "model_id", "language_code", "settings", "seed", "apply_text_normalization",
)  # fmt: skip
HEARD_AT = ("cloud_storage_url", "source_url")
HEARD_FIELDS = (
    "model_id", "cloud_storage_url", "source_url", "language_code", "tag_audio_events",
    "num_speakers", "timestamps_granularity", "diarize", "diarization_threshold", "temperature",
    "seed",
)  # fmt: skip

# --- Prices -------------------------------------------------------------------------------------


def speech(asked: Asked) -> Quote:
    """Price a text by its characters."""
    only(asked.body, SPEECH_FIELDS)
    model_of(asked.body, SPEAKERS, "model_id")
    return _spoken(asked.text("text", most=MOST_CHARACTERS))


def dialogue(asked: Asked) -> Quote:
    """Price all that is said in it."""
    only(asked.body, DIALOGUE_FIELDS)
    model_of(asked.body, SPEAKERS[:1], "model_id")
    said = ""
    for each in listed(asked.body, "inputs", most=200):
        only(each, ("text", "voice_id"), "inputs")
        if not isinstance(each.get("text"), str):
            raise InvalidRequest("inputs must each have a text.")
        said += each["text"]
    if not 0 < len(said) <= MOST_CHARACTERS:
        raise InvalidRequest(f"inputs must say something, in {MOST_CHARACTERS} characters.")
    return _spoken(said)


def _spoken(text: str) -> Quote:
    return known(CHARACTER * len(text), characters=len(text))


def effect(asked: Asked) -> Quote:
    """Price a sound effect by its length."""
    body = asked.body
    only(body, ("text", "duration_seconds", "prompt_influence", "loop", "model_id"))
    if body.get("model_id") is not None:
        model_of(body, (EFFECTS,), "model_id")
    seconds: Any = body.get("duration_seconds")
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0.5 <= seconds <= 30:
        raise InvalidRequest("duration_seconds must be a number from 0.5 to 30.")
    exact = Fraction(f"{seconds}")
    return known(round_up(EFFECT * exact / MINUTE), seconds=f"{exact}")


@dataclass(frozen=True, slots=True)
class Changed:
    """What is made of a sound that comes along, by its length."""

    check: Callable[[Asked], None]
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Measure the sound; the price follows exactly."""
        self.check(asked)
        told = "audio must not be longer than two hours."
        return await listening.quote_of(
            asked, "audio", CHANGED, longest=LONGEST_CHANGED, too_long=told
        )

    def least(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of a second, where the sound is not there yet."""
        return listening.least_of(inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the quoted price."""
        return Micros(inputs["price"])


def _isolation(asked: Asked) -> None:
    only(asked.body, ("file_format",))
    if asked.body.get("file_format") not in (None, "other"):
        raise InvalidRequest("file_format must be other: the sound is measured by its file.")


def _changer(asked: Asked) -> None:
    fields = ("model_id", "voice_settings", "seed", "remove_background_noise")
    only(asked.body, fields)
    model_of(asked.body, CHANGERS, "model_id")


class Heard(Ruled):
    """A transcript, by the length of the sound, or by the end of its last word."""

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of what was measured before, or heard; of a second at least."""
        if "price" in inputs:
            return Micros(inputs["price"])
        if not evidence.is_final:
            return None
        heard = max(Fraction(inputs["least"]), _last_word(evidence.end) or Fraction(0))
        return round_up(Fraction(inputs["rate"]) * heard)


def transcript(asked: Asked) -> Quote:
    """Hold the longest sound, where its address tells nothing."""
    assert asked.form is not None, "a form was read"
    asked.form.check_files()
    only(asked.body, HEARD_FIELDS)
    model_of(asked.body, SCRIBES, "model_id")
    names = [name for name in HEARD_AT if asked.body.get(name)]
    if len(names) != 1:
        raise InvalidRequest("cloud_storage_url must be the address of a sound.")
    rate = Fraction(HEARD, MINUTE)
    return of_input(asked, names[0], rate, least="1", most=f"{LONGEST_HEARD}")


def _last_word(answer: Any) -> Fraction | None:
    words = answer.get("words") if isinstance(answer, dict) else None
    if not isinstance(words, list):
        return None
    ends = [each.get("end") for each in words if isinstance(each, dict)]
    known_ends = [
        Fraction(f"{end}")
        for end in ends
        if isinstance(end, (int, float)) and not isinstance(end, bool) and 0 < end < 10**6
    ]
    return max(known_ends, default=None)


# --- What it is asked, and says -----------------------------------------------------------------


def _effect_sent(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {**asked.body, "model_id": EFFECTS}


def _heard_sent(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    body = dict(asked.body)
    address = body.pop("cloud_storage_url", None)
    return {**body, "source_url": address} if address else body


def _voice(asked: Asked) -> Iterable[Use]:
    """Return the voices that speak: a cloned one is its workspace's own."""
    named = [asked.parts.get("voice_id")]
    inputs = asked.body.get("inputs")
    if isinstance(inputs, list):
        named += [each.get("voice_id") for each in inputs if isinstance(each, dict)]
    return [("voice", each, PUBLIC) for each in named if isinstance(each, str) and each]


def _cloned(answer: Any) -> Iterable[Asset]:
    found = answer.get("voice_id") if isinstance(answer, dict) else None
    return [("voice", found)] if isinstance(found, str) and 0 < len(found) <= 1000 else []


CODE = text_at("detail.code", "detail.status", "detail.type")
SAYS = text_at("detail.message", "detail[].msg", "detail")
OPERATOR = re.compile(r"quota|credit|payment|api_key|permission|voice_limit|subscription", re.I)
BLOCKED = re.compile(r"moderat|policy|safety|blocked|terms_of_service", re.I)


def _judge(said: Said) -> Judged | None:
    if said.status in DELIVERING:
        return None
    code = CODE(said.json)
    if OPERATOR.search(code):
        return Judged(Verdict.OPERATOR)
    if BLOCKED.search(code):
        return Judged(Verdict.MODERATED)
    return Judged(Verdict.BUSY) if code == "system_busy" else None


def _speak(path: str, title: str, price: Price, *, upstream: str = "", **more: Any) -> Operation:
    return Operation(
        "POST",
        f"elevenlabs/v1/{path}",
        f"/v1/{upstream or path}",
        price,
        gives=Gives.BYTES,
        query=("output_format",),
        uses=_voice,
        delivers=there(),
        price_version=VERSION,
        title=f"ElevenLabs {title}",
        **more,
    )


def _form(path: str, title: str, price: Price, **more: Any) -> Operation:
    return Operation(
        "POST",
        f"elevenlabs/v1/{path}",
        f"/v1/{path}",
        price,
        takes=Takes.FORM,
        sends_form=True,
        price_version=VERSION,
        title=f"ElevenLabs {title}",
        **more,
    )


def clone(asked: Asked) -> Quote:
    """Price a voice."""
    assert asked.form is not None, "a form was read"
    asked.form.check_files("files", "files[]")
    only(asked.body, ("name", "remove_background_noise", "description", "labels"))
    return known(CLONED)


FORM: dict[str, Any] = {"takes": Takes.FORM, "sends_form": True}
ELEVENLABS = Vendor(
    name="elevenlabs",
    display="ElevenLabs",
    base_url="https://api.elevenlabs.io",
    credential=Header("xi-api-key"),
    operations=(
        _speak("text-to-speech/{voice_id}", "Text to Speech", Ruled(speech)),
        _speak("text-to-dialogue", "Text to Dialogue", Ruled(dialogue)),
        _speak("sound-generation", "Sound Effects", Ruled(effect), prepare=_effect_sent),
        _speak(
            "speech-to-speech/{voice_id}",
            "Speech to Speech",
            Changed(_changer),
            upstream="voice-changer/{voice_id}",
            **FORM,
        ),
        _speak("audio-isolation", "Voice Isolation", Changed(_isolation), **FORM),
        _form(
            "speech-to-text",
            "Speech to Text",
            Heard(transcript),
            prepare=_heard_sent,
            measures=tuple(Input(name, file_at(name)) for name in HEARD_AT),
            reports=lambda answer: _last_word(answer) is not None,
            delivers=there("text", "transcripts[]"),
        ),
        _form("voices/add", "Voice Clone", Ruled(clone), makes=_cloned, delivers=there("voice_id")),
    ),
    along={"audio": Part("file"), "video": Part("file")},
    judge=_judge,
    says=SAYS,
)
