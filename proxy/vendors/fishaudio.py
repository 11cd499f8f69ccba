"""Fish Audio: speech by the bytes of its text, transcripts by the length of the sound.

The model is a header. A sound to be heard comes along and is measured here: of the `duration` that
an answer tells, the vendor's page says seconds, its package milliseconds. A voice that somebody
cloned is theirs alone, and private; those of the vendor's library are everybody's; making one is
free.
Sources: docs.fish.audio, fish-audio-sdk 1.3.0. Prices: the nodes' of August 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy import listening
from proxy.catalogue import PUBLIC, Gives, Kind, Operation, Takes, Vendor
from proxy.credentials import bearer
from proxy.pricing import Quote
from proxy.pricing.shapes import Ruled, known, only
from proxy.vendors.states import by_words, text_at, there

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from proxy.asked import Asked, Evidence
    from proxy.catalogue import Asset, Use

VERSION = "fishaudio-2026-08"
MILLION_BYTES, MINUTE = usd("21.45"), usd("0.00858")
MODELS = ("s1", "s2-pro", "s2.1-pro")
MOST_CHARACTERS, LONGEST_SECONDS = 100_000, 36_000
SPEECH_FIELDS = (
    "text", "reference_id", "temperature", "top_p", "prosody", "normalize", "format",
    "sample_rate", "mp3_bitrate", "opus_bitrate", "latency", "chunk_length",
)  # fmt: skip


def speech(asked: Asked) -> Quote:
    """Price a text by its bytes."""
    only(asked.body, SPEECH_FIELDS)
    model = asked.headers.get("model", "")
    if model not in MODELS:
        raise InvalidRequest(
            f"{model[:100]!r} has no price here. The header model must be one of "
            f"{', '.join(MODELS)}."
        )
    size = len(asked.text("text", most=MOST_CHARACTERS).encode(errors="replace"))
    return known(round_up(Fraction(MILLION_BYTES * size, 10**6)), model=model, bytes=size)


@dataclass(frozen=True, slots=True)
class Heard:
    """A transcript, by the length of the sound that comes along."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Measure the sound; the price follows exactly."""
        only(asked.body, ("language", "ignore_timestamps"))
        told = "audio must not be longer than ten hours."
        return await listening.quote_of(
            asked, "audio", MINUTE, longest=LONGEST_SECONDS, too_long=told
        )

    def least(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of a second, where the sound is not there yet."""
        return listening.least_of(inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the quoted price."""
        return Micros(inputs["price"])


def _voices(asked: Asked) -> Iterable[Use]:
    given = asked.body.get("reference_id")
    named = given if isinstance(given, list) else [given]
    return [("voice", each, PUBLIC) for each in named if isinstance(each, str) and each]


def _cloned(answer: Any) -> Iterable[Asset]:
    found = answer.get("_id") if isinstance(answer, dict) else None
    return [("voice", found)] if isinstance(found, str) and 0 < len(found) <= 1000 else []


def _private(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a voice's fields as the one that its node makes, which nobody else hears of."""
    assert asked.form is not None, "a form was read"
    asked.form.check_files("voices", "cover_image")
    only(asked.body, ("type", "title", "description", "train_mode", "visibility", "texts", "tags",
                      "enhance_audio_quality"))  # fmt: skip
    return {**asked.body, "type": "tts", "train_mode": "fast", "visibility": "private"}


SAYS = text_at("message", "detail", "detail[].msg")
FISHAUDIO = Vendor(
    name="fishaudio",
    display="Fish Audio",
    base_url="https://api.fish.audio",
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            "fishaudio/v1/tts",
            "/v1/tts",
            Ruled(speech),
            gives=Gives.BYTES,
            headers=("model",),
            uses=_voices,
            delivers=there(),
            price_version=VERSION,
            title="Fish Audio Text to Speech",
        ),
        Operation(
            "POST",
            "fishaudio/v1/asr",
            "/v1/asr",
            Heard(),
            takes=Takes.FORM,
            sends_form=True,
            delivers=there("text"),
            price_version=VERSION,
            title="Fish Audio Speech to Text",
        ),
        Operation(
            "POST",
            "fishaudio/model",
            "/model",
            kind=Kind.UPLOAD,
            takes=Takes.FORM,
            sends_form=True,
            prepare=_private,
            repeated=("texts", "tags"),
            makes=_cloned,
            timeout_seconds=300,
        ),
    ),
    judge=by_words(SAYS),
    says=SAYS,
)
