"""What OpenAI's operations cost: texts and pictures by tokens, the old pictures and Sora by kind.

Held: a byte of text as a token; a picture that is shown at 10,000 tokens, the most patches of any
model; a file, and an earlier response that goes on, at what the model can be given; a picture that
is made at the top of its node's range, one that is edited at 6,500 tokens more. Prices: the nodes'
of August 2026. Which models are gone: the vendor's page on deprecations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, usd
from proxy.pricing import Quote
from proxy.pricing.language import Extent, Model, functions_only, limit_of, off, texts_of
from proxy.pricing.shapes import choice_of, count, known, model_of, only
from proxy.pricing.tokens import cost, number, text_bytes
from proxy.withdrawn import Gone, Withdrawn

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence

VERSION = "openai-2026-08"
DALL_E_GONE = Gone("2026-05-12", "gpt-image-2", is_played=False)
WITHDRAWN = Withdrawn(
    "openai",
    "OpenAI",
    {
        **dict.fromkeys(("dall-e-2", "dall-e-3"), DALL_E_GONE),
        "gpt-image-1": Gone("2026-10-23", "gpt-image-2"),
        "gpt-image-1.5": Gone("2026-12-01", "gpt-image-2"),
        **dict.fromkeys(("sora-2", "sora-2-pro"), Gone("2026-09-24", "another provider's node")),
        **dict.fromkeys(("o1", "o4-mini", "gpt-4.1-nano"), Gone("2026-10-23", "gpt-5.6-luna")),
        **dict.fromkeys(("gpt-5", "gpt-5-mini", "gpt-5-nano", "o3"), Gone("2026-12-11", "gpt-5.6")),
        **dict.fromkeys(("gpt-4.1", "gpt-4.1-mini", "gpt-4o"), Gone("2027-01-14", "gpt-5.6")),
    },
)

# --- Texts --------------------------------------------------------------------------------------


def _model(input_: str, output: str, most: int = 128_000, context: int = 400_000) -> Model:
    return Model(usd(input_), usd(output), most, context)


WIDE = 1_050_000
MODELS = {
    "gpt-5.6": _model("5", "30", context=WIDE),
    "gpt-5.6-sol": _model("5", "30", context=WIDE),
    "gpt-5.6-terra": _model("2.5", "15", context=WIDE),
    "gpt-5.6-luna": _model("1", "6", context=WIDE),
    "gpt-5.5-pro": _model("30", "180", context=WIDE),
    "gpt-5.5": _model("5", "30", context=WIDE),
    "gpt-5": _model("1.25", "10"),
    "gpt-5-mini": _model("0.25", "2"),
    "gpt-5-nano": _model("0.05", "0.4"),
    "gpt-4.1": _model("2", "8", 32_768, WIDE),
    "gpt-4.1-mini": _model("0.4", "1.6", 32_768, WIDE),
    "gpt-4.1-nano": _model("0.1", "0.4", 32_768, WIDE),
    "gpt-4o": _model("2.5", "10", 16_384, 128_000),
    "o4-mini": _model("1.1", "4.4", 100_000, 200_000),
    "o3": _model("10", "40", 100_000, 200_000),
    "o1-pro": _model("150", "600", 100_000, 200_000),
    "o1": _model("15", "60", 100_000, 200_000),
}
SHOWN_TOKENS = 10_000
FIELDS = (
    "model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "truncation",
    "previous_response_id", "store", "stream", "include", "parallel_tool_calls", "tools",
    "tool_choice", "reasoning", "text", "usage", "background", "service_tier", "metadata", "user",
)  # fmt: skip
CONTENT = ("input_text", "output_text", "refusal", "input_image", "input_file")


def response(asked: Asked) -> Extent:
    """Read what a response can come to."""
    body = asked.body
    only(body, FIELDS)
    off(body, "stream", "background")
    functions_only(body, ("function", "custom"))
    if body.get("service_tier") not in (None, "default", "auto"):
        raise InvalidRequest("service_tier has no price here: it must be default.")
    name = model_of(body, MODELS)
    WITHDRAWN.check(name)
    model, media = MODELS[name], list(_media(body.get("input")))
    tokens = sum(SHOWN_TOKENS if is_picture else model.context for is_picture, _ in media)
    if body.get("previous_response_id"):
        tokens += model.context
    return Extent(
        name,
        model,
        texts=texts_of(body, *(data for _, data in media)),
        media=len(media),
        tokens=tokens,
        wanted=limit_of(body, "max_output_tokens"),
    )


def _media(items: Any) -> Iterator[tuple[bool, str]]:
    """Yield of each media item whether it is a picture, and its address or data."""
    if isinstance(items, str):
        return
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidRequest("input must be a text or a list of messages.")
    for item in items:
        kind = item.get("type", "message")
        if kind not in ("message", "reasoning", "function_call", "function_call_output", None):
            raise InvalidRequest(f"{str(kind)[:100]} has no price here as input.")
        content = item.get("content", item.get("output"))
        for part in content if isinstance(content, list) else []:
            if not isinstance(part, dict) or part.get("type") not in CONTENT:
                named = part.get("type") if isinstance(part, dict) else part
                raise InvalidRequest(f"{str(named)[:100]} has no price here as content.")
            if part.get("file_id") is not None:
                raise InvalidRequest("file_id is a file of the platform's: please send the file.")
            if part["type"] in ("input_image", "input_file"):
                data = part.get("image_url", part.get("file_data", part.get("file_url")))
                yield part["type"] == "input_image", data if isinstance(data, str) else ""


def used(answer: Any) -> tuple[Fraction, int] | None:
    """Return the tokens that an answer reports; None if it reports none."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict) or not number(usage.get("input_tokens")):
        return None
    return Fraction(number(usage["input_tokens"])), number(usage.get("output_tokens"))


def shown(answer: Any) -> int:
    """Return the bytes of what an answer shows."""
    output = answer.get("output") if isinstance(answer, dict) else None
    return text_bytes(output) if isinstance(output, list) else 0


# --- Pictures -----------------------------------------------------------------------------------

EDITED_TOKENS = 6_500
MOST_PICTURES, MOST_EDITED = 10, 16


@dataclass(frozen=True, slots=True)
class Painter:
    """A model of pictures: micros a million tokens, and the top of its node's range by quality."""

    input: Micros
    output: Micros
    low: Micros
    medium: Micros
    high: Micros


LOW, MEDIUM, HIGH = usd("0.02"), usd("0.07"), usd("0.3")
PAINTERS = {
    "gpt-image-1": Painter(usd("10"), usd("40"), LOW, MEDIUM, HIGH),
    "gpt-image-1.5": Painter(usd("8"), usd("32"), LOW, MEDIUM, HIGH),
    "gpt-image-2": Painter(usd("8"), usd("36"), usd("0.0228"), usd("0.2016"), usd("0.804")),
}
DALL_E = ("dall-e-2", "dall-e-3")
SIZES_2 = {"256x256": usd("0.016"), "512x512": usd("0.018"), "1024x1024": usd("0.02")}
QUALITIES = ("low", "medium", "high", "auto")
PICTURE_FIELDS = (
    "prompt", "model", "n", "size", "quality", "background", "moderation", "output_format",
    "output_compression", "style", "response_format", "input_fidelity", "user", "seed",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Painted:
    """Pictures by their tokens, of the oldest models by size and quality."""

    files: tuple[str, ...] = ()
    """The fields of an edit's pictures."""
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold the top of the range for each picture, and the input at its bound."""
        body = asked.body
        only(body, PICTURE_FIELDS)
        name = model_of(body, (*PAINTERS, *DALL_E))
        WITHDRAWN.check(name)
        pictures = count(body, "n", least=1, most=MOST_PICTURES, default=1)
        edited = self._edited(asked)
        if name in DALL_E:
            return known(_dall_e(name, body) * pictures, model=name, n=pictures)
        painter = PAINTERS[name]
        quality = choice_of(body, "quality", QUALITIES, default="auto")
        each = {"low": painter.low, "medium": painter.medium}.get(quality, painter.high)
        tokens = text_bytes(body) + EDITED_TOKENS * edited
        most = Micros(each * pictures + cost((tokens, painter.input)))
        rates = {"in": int(painter.input), "out": int(painter.output)}
        return Quote(most, {"model": name, "n": pictures, "most": int(most), "rates": rates})

    def _edited(self, asked: Asked) -> int:
        if asked.form is None:
            return 0
        asked.form.check_files(*self.files)
        found = len(asked.form.files)
        if not 1 <= found <= MOST_EDITED + 1:
            raise InvalidRequest(f"An edit is of one to {MOST_EDITED} images and a mask.")
        return found

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of the tokens that are reported; without a report all that was held."""
        if "price" in inputs:
            return Micros(inputs["price"])
        if not evidence.is_final:
            return None
        found = used(evidence.end)
        if found is None:
            return Micros(inputs["most"])
        rates = inputs["rates"]
        return cost((int(found[0]), rates["in"]), (found[1], rates["out"]))


def _dall_e(name: str, body: dict[str, Any]) -> Micros:
    if name == "dall-e-2":
        size = choice_of(body, "size", SIZES_2, default="1024x1024")
        return SIZES_2[size]
    is_square = body.get("size") in (None, "1024x1024")
    quality = choice_of(body, "quality", ("standard", "hd", "auto"), default="standard")
    if quality == "hd":
        return usd("0.08") if is_square else usd("0.12")
    return usd("0.04") if is_square else usd("0.08")


# --- Sora ---------------------------------------------------------------------------------------

SORA = {"sora-2": usd("0.1"), "sora-2-pro": usd("0.3")}
LARGE = ("1024x1792", "1792x1024")
SIZES = ("720x1280", "1280x720", *LARGE)


def video(asked: Asked) -> Quote:
    """Price a video by model, size and length."""
    assert asked.form is not None, "a form was read"
    asked.form.check_files("input_reference")
    body = asked.body
    only(body, ("prompt", "model", "seconds", "size"))
    name = model_of(body, SORA)
    WITHDRAWN.check(name)
    seconds = int(choice_of(body, "seconds", ("4", "8", "12"), default="4"))
    size = choice_of(body, "size", SIZES, default="720x1280")
    rate = usd("0.5") if name == "sora-2-pro" and size in LARGE else SORA[name]
    return known(rate * seconds, model=name, seconds=seconds, size=size)
