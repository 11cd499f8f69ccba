"""The price of language models: tokens in and out, held for what the request can come to.

The input is bounded by the bytes of its texts and by so many tokens for each picture; of media that
nobody can measure here, by the context. The output is bounded by the limit that is sent (see
tokens.py). Where the vendor says no usage, the call costs what can be seen: four bytes of text a
token, and a documented figure for each media item.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up
from proxy.pricing import Quote, whole
from proxy.pricing.tokens import MILLION, affordable, text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.asked import Asked, Evidence

BYTES_PER_TOKEN = 4
MEDIA_TOKENS = 1_000
"""Of a media item, where the vendor says no usage."""
LEAST_TOKENS = 2_048
"""The lowest limit that we set by ourselves: less is no answer of a model that thinks."""
MOST_TOKENS = 1 << 20
USUAL_TOKENS = 1_000
EACH_REQUEST = 500
"""Tokens that a vendor adds to what was written."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model: micros a million tokens in and out, the most it puts out, what it can be given."""

    input: Micros
    output: Micros
    most: int
    context: int = 1_048_576


@dataclass(frozen=True, slots=True)
class Extent:
    """What a request can come to."""

    name: str
    model: Model
    texts: int
    """Bytes."""
    media: int = 0
    tokens: int = 0
    """The most of its media, and what it refers to."""
    wanted: int | None = None
    least: int = LEAST_TOKENS
    extra: int = 0
    """What may be billed beside the tokens."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """By tokens: those that the vendor reports."""

    rule: Callable[[Asked], Extent]
    used: Callable[[Any], tuple[Fraction, int] | None]
    """Tokens in, weighed as they are billed, and out; None where an answer says nothing."""
    shown: Callable[[Any], int]
    """Bytes of the texts that an answer shows."""
    per_byte: Fraction = Fraction(1)
    """Tokens that a byte of text can be billed as."""
    billed: Callable[[dict[str, Any], Any], Micros] = lambda _, __: Micros(0)
    """What the answer says the call costs at least, from the inputs and the answer."""
    fits_wallet: bool = True

    async def quote(self, asked: Asked) -> Quote:
        """Hold the input at its bound, and the output at the limit that goes out."""
        extent = self.rule(asked)
        model = extent.model
        tokens = EACH_REQUEST + -(-self.per_byte * extent.texts // 1) + extent.tokens
        tokens = min(int(tokens), int(self.per_byte * model.context))
        before = _cost(Fraction(tokens), 0, model.input, model.output)
        wanted = min(extent.wanted or model.most, model.most)
        limit = affordable(
            wanted,
            least=min(wanted, extent.least),
            rate=model.output,
            available=asked.available,
            before=Micros(before + extent.extra),
        )
        inputs = {
            "model": extent.name,
            "limit": limit,
            "text_bytes": extent.texts,
            "media": extent.media,
            "rates": {"in": int(model.input), "out": int(model.output)},
        }
        most = _cost(Fraction(tokens), limit, model.input, model.output)
        return Quote(Micros(most + extent.extra), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of the tokens that the vendor reports, else of what can be seen."""
        if not evidence.is_final:
            return None
        used = self.used(evidence.end)
        if used is None:
            asked = inputs["text_bytes"] // BYTES_PER_TOKEN + MEDIA_TOKENS * inputs["media"]
            said = -(-self.shown(evidence.end) // BYTES_PER_TOKEN)
            used = Fraction(asked), min(said, inputs["limit"])
        price = _cost(*used, inputs["rates"]["in"], inputs["rates"]["out"])
        return max(price, self.billed(inputs, evidence.end))

    def likely(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of an answer of a few paragraphs."""
        asked = inputs["text_bytes"] // BYTES_PER_TOKEN + MEDIA_TOKENS * inputs["media"]
        rates, said = inputs["rates"], min(USUAL_TOKENS, inputs["limit"])
        return _cost(Fraction(asked), said, rates["in"], rates["out"])


def _cost(tokens_in: Fraction, tokens_out: int, rate_in: int, rate_out: int) -> Micros:
    return round_up((tokens_in * rate_in + tokens_out * rate_out) / Fraction(MILLION))


def limit_of(body: dict[str, Any], *names: str) -> int | None:
    """Return the limit of output tokens of a request, by whichever name; None if it has none."""
    given = [name for name in names if body.get(name) is not None]
    if len(given) > 1:
        raise InvalidRequest(f"{' and '.join(given)} are one limit: please send one of them.")
    return whole(body, given[0], default=1, least=1, most=MOST_TOKENS) if given else None


def off(body: dict[str, Any], *names: str) -> None:
    """Raise InvalidRequest for a switch that is on: what it does has no price here."""
    for name in names:
        if body.get(name) not in (None, False):
            raise InvalidRequest(f"{name} has no price here: it must be false.")


def functions_only(body: dict[str, Any], kinds: Iterable[Any]) -> None:
    """Raise InvalidRequest for a tool that the vendor runs, and bills, by itself."""
    tools, known = body.get("tools"), tuple(kinds)
    if tools is None:
        return
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise InvalidRequest("tools must be a list of objects.")
    for tool in tools:
        if tool.get("type") not in known:
            raise InvalidRequest(f"{str(tool.get('type'))[:100]} has no price here as a tool.")


def texts_of(value: Any, *data: str) -> int:
    """Return the bytes of a request's texts, without the media data of that size in it."""
    return max(0, text_bytes(value) - sum(len(each) for each in data))
