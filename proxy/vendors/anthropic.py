"""Anthropic Claude: the Messages API, by the tokens that an answer reports.

Writing a cache is billed a quarter more than input, reading one a tenth; an hour's cache, tools
that the vendor runs, and documents have no price here. A refusal is a 200 that is billed. The
version of the API is the one whose fields the nodes send; the later takes some of them away.
Sources: the vendor's package 2.14.0, its pages on versions and, for the largest picture, on vision.
Prices: the nodes' of August 2026.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import Inside
from proxy.catalogue import Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.language import Extent, Model, Spoken, functions_only, limit_of, off, texts_of
from proxy.pricing.shapes import at, model_of, only
from proxy.pricing.tokens import number, text_bytes
from proxy.vendors.states import text_at
from proxy.withdrawn import Gone, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.asked import Asked
    from proxy.dialect import Said

VERSION = "anthropic-2026-08"
API_VERSION = "2023-06-01"
PICTURE_TOKENS = 4_784
"""Of the largest that the newest models look at."""
MOST_PICTURES = 100
CACHE_WRITE, CACHE_READ = Fraction(5, 4), Fraction(1, 10)


def _model(input_: str, output: str, most: int = 128_000) -> Model:
    return Model(usd(input_), usd(output), most)


MODELS = {
    "claude-fable-5": _model("14.3", "71.5"),
    "claude-opus-5": _model("7.15", "35.75"),
    "claude-opus-4-8": _model("7.15", "35.75"),
    "claude-opus-4-7": _model("5", "25"),
    "claude-opus-4-6": _model("5", "25"),
    "claude-sonnet-5": _model("2.86", "14.3"),
    "claude-sonnet-4-6": _model("3", "15"),
    "claude-sonnet-4-5-20250929": _model("3", "15", 64_000),
    "claude-haiku-4-5-20251001": _model("1", "5", 64_000),
}
WITHDRAWN = Withdrawn(
    "anthropic",
    "Anthropic",
    {"claude-sonnet-4-5-20250929": Gone("2026-11-30", "claude-sonnet-5")},
)
FIELDS = (
    "model", "max_tokens", "messages", "system", "temperature", "top_p", "top_k",
    "stop_sequences", "thinking", "output_config", "tools", "tool_choice", "stream",
)  # fmt: skip
BLOCKS = ("text", "image", "thinking", "redacted_thinking", "tool_use", "tool_result")
FUNCTIONS = (None, "custom")


def price(asked: Asked) -> Extent:
    """Read what a request can come to."""
    body = asked.body
    only(body, FIELDS)
    off(body, "stream")
    functions_only(body, FUNCTIONS)
    name = model_of(body, MODELS)
    WITHDRAWN.check(name)
    pictures = list(_pictures(body))
    if len(pictures) > MOST_PICTURES:
        raise InvalidRequest(f"A request shows at most {MOST_PICTURES} images.")
    wanted = limit_of(body, "max_tokens")
    if wanted is None:
        raise InvalidRequest("max_tokens is required.")
    budget = number(at(body, "thinking.budget_tokens"))
    return Extent(
        name,
        MODELS[name],
        texts=texts_of(body, *pictures),
        media=len(pictures),
        tokens=int(len(pictures) * PICTURE_TOKENS * CACHE_WRITE),
        wanted=wanted,
        least=max(2_048, budget + 1_024 if budget else 0),
    )


def _pictures(value: Any) -> Iterator[str]:
    """Yield the data of each picture in a request, empty for an address; refuse other media."""
    if isinstance(value, list):
        for each in value:
            yield from _pictures(each)
    elif isinstance(value, dict):
        cache = value.get("cache_control")
        if isinstance(cache, dict) and cache.get("ttl") not in (None, "5m"):
            raise InvalidRequest("cache_control has no price here but for five minutes.")
        source = value.get("source")
        if isinstance(source, dict):
            if value.get("type") != "image" or source.get("type") not in ("base64", "url"):
                raise InvalidRequest("source has no price here: it must be an image's.")
            data = source.get("data")
            yield data if isinstance(data, str) else ""
            return
        for name, each in value.items():
            if name == "content" and isinstance(each, list):
                _check_blocks(each)
            yield from _pictures(each)


def _check_blocks(blocks: list[Any]) -> None:
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in BLOCKS:
            raise InvalidRequest(f"{str(kind)[:100]} has no price here as content.")


def _used(answer: Any) -> tuple[Fraction, int] | None:
    usage = at(answer, "usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict) or not number(usage.get("output_tokens")):
        return None
    asked = number(usage.get("input_tokens"))
    written = CACHE_WRITE * number(usage.get("cache_creation_input_tokens"))
    read = CACHE_READ * number(usage.get("cache_read_input_tokens"))
    return asked + written + read, number(usage.get("output_tokens"))


def _shown(answer: Any) -> int:
    content = answer.get("content") if isinstance(answer, dict) else None
    return text_bytes(content) if isinstance(content, list) else 0


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    if asked.body["max_tokens"] == inputs["limit"]:
        return None
    return {**asked.body, "max_tokens": inputs["limit"]}


OPERATOR = re.compile(r"authentication_error|billing_error|permission_error|spend_limit")
CREDIT = re.compile(r"credit balance|billing|usage limits", re.I)
KIND, SAYS = text_at("error.type"), text_at("error.message")
CODE = text_at("error.details.error_code")
OVERLOADED = 529


def _judge(said: Said) -> Judged | None:
    """Return what an error's words mean."""
    if said.status in DELIVERING:
        is_message = isinstance(said.object.get("content"), list)
        return None if is_message else Judged(Verdict.UNKNOWN)
    if OPERATOR.search(f"{KIND(said.json)} {CODE(said.json)}") or CREDIT.search(SAYS(said.json)):
        return Judged(Verdict.OPERATOR)
    if said.status == OVERLOADED:
        return Judged(Verdict.BUSY)
    return Judged(Verdict.UNKNOWN) if KIND(said.json) == "timeout_error" else None


ANTHROPIC = Vendor(
    name="anthropic",
    display="Anthropic",
    base_url="https://api.anthropic.com",
    credential=Header("x-api-key", beside=(("anthropic-version", API_VERSION),)),
    operations=(
        Operation(
            "POST",
            "anthropic/v1/messages",
            "/v1/messages",
            Spoken(price, _used, _shown, per_byte=CACHE_WRITE),
            prepare=_prepare,
            reports=lambda answer: _used(answer) is not None,
            timeout_seconds=1200,
            price_version=VERSION,
            title="Anthropic Claude",
        ),
    ),
    along={"image": Inside({"url": "data"}, kind="media_type", also={"type": "base64"})},
    judge=_judge,
    says=SAYS,
)
