"""What Gemini costs: its tokens, in and out, at the nodes' rates of August 2026.

Nothing is sent without a limit of output tokens. The input is bounded before: a byte of text is at
most a token, a picture at most 6,000, and of any other media nobody can tell from outside how long
it is, so it may fill the context. Where Google says no usage, the call costs what its visible parts
come to: four bytes of text a token, 258 for each media item asked, 1,290 for each picture made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, usd
from proxy.pricing import Quote, whole
from proxy.pricing.tokens import affordable, cost, number, text_bytes

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence

VERSION = "google-2026-08"
CONTEXT_TOKENS = 1_048_576
PICTURE_IN, MEDIA_IN, PICTURE_OUT = 6_000, 258, 1_290
USUAL_TOKENS = 1_000
BYTES_PER_TOKEN = 4
MOST_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Model:
    """A model: what Google calls it, and USD a million tokens."""

    upstream: str
    input: str
    output: str
    """Of texts and thoughts."""
    picture: str = "0"
    """Of pictures; 0 for a model that makes none."""

    @property
    def most(self) -> int:
        """The most output tokens that it can be asked for."""
        return 32_768 if self.draws else 65_536

    @property
    def usual(self) -> int:
        """The limit where the request has none: several pictures and the thoughts about them."""
        return 8_192 if self.draws else self.most

    @property
    def least(self) -> int:
        """The lowest limit that we set by ourselves: a picture of 4K and some thoughts."""
        return 4_096 if self.draws else 2_048

    @property
    def draws(self) -> bool:
        """Whether it makes pictures."""
        return self.picture != "0"


PRO_2 = Model("gemini-2.5-pro", "1.25", "10")
FLASH_2 = Model("gemini-2.5-flash", "0.3", "2.5")
FLASH_2_IMAGE = Model("gemini-2.5-flash-image", "0.3", "2.5", "30")
PRO_3 = Model("gemini-3.1-pro-preview", "2", "12")
PRO_3_IMAGE = Model("gemini-3-pro-image", "2", "12", "144")
FLASH_3_IMAGE = Model("gemini-3.1-flash-image", "0.5", "3", "72")
LITE_3_IMAGE = Model("gemini-3.1-flash-lite-image", "0.25", "1.5", "36")
LITE_3 = Model("gemini-3.1-flash-lite", "0.25", "1.5")
MODELS = {
    "gemini-2.5-pro": PRO_2,
    "gemini-2.5-pro-preview-05-06": PRO_2,
    "gemini-2.5-flash": FLASH_2,
    "gemini-2.5-flash-preview-04-17": FLASH_2,
    "gemini-2.5-flash-image": FLASH_2_IMAGE,
    "gemini-2.5-flash-image-preview": FLASH_2_IMAGE,
    "gemini-3-pro-preview": PRO_3,
    "gemini-3.1-pro-preview": PRO_3,
    "gemini-3.1-pro": Model("gemini-3.1-pro", "2", "12"),
    "gemini-3-pro-image": PRO_3_IMAGE,
    "gemini-3-pro-image-preview": PRO_3_IMAGE,
    "gemini-3.1-flash-image": FLASH_3_IMAGE,
    "gemini-3.1-flash-image-preview": FLASH_3_IMAGE,
    "gemini-3.1-flash-lite-image": LITE_3_IMAGE,
    "gemini-3.1-flash-lite": LITE_3,
    "gemini-3.1-flash-lite-preview": LITE_3,
    "gemini-3.5-flash": Model("gemini-3.5-flash", "1.5", "9"),
    "gemini-3.7-flash": Model("gemini-3.7-flash", "2.15", "10.73"),
}
"""By what clients of every generation call them; those that Google has renamed, by both names."""

PASSED = ("contents", "systemInstruction", "generationConfig", "safetySettings", "toolConfig")
DROPPED = ("uploadImagesToStorage",)
"""A wish to the platform, not to Google."""
MODALITIES = ("TEXT", "IMAGE")
OTHER_MODELS = ("routingConfig", "modelConfig", "modelSelectionConfig")


def model_of(parts: Mapping[str, str]) -> Model:
    """Return the model of a path, or raise InvalidRequest."""
    name = parts.get("model", "")
    if name not in MODELS:
        raise InvalidRequest(f"{name[:100]!r} has no price here: it is no model of this platform.")
    return MODELS[name]


def camel(content: Any, where: str) -> dict[str, Any]:
    """Return an object by the names that Google spells out, without what is null.

    Google takes both spellings: a limit in the other one would be unseen here.
    """
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InvalidRequest(f"{where} must be an object.")
    named: dict[str, Any] = {}
    for given, value in content.items():
        name = re.sub(r"_([a-z])", lambda found: found[1].upper(), given)
        if name in named:
            raise InvalidRequest(f"{where} has {name[:100]} twice.")
        named[name] = value
    return {name: value for name, value in named.items() if value is not None}


def request_of(asked: Asked) -> dict[str, Any]:
    """Return the request as Google shall have it but for the limit; refuse what has no price."""
    body = camel(asked.body, "The body")
    settings = camel(body.get("generationConfig"), "generationConfig")
    tools = body.get("tools", [])
    if not isinstance(tools, list):
        raise InvalidRequest("tools must be a list.")
    tools = [camel(tool, "tools") for tool in tools]
    unpriced = [
        *(name for name in body if name not in (*PASSED, *DROPPED, "tools")),
        *(name for tool in tools for name in tool if name != "functionDeclarations"),
        *(name for name in settings if name in OTHER_MODELS),
    ]
    if unpriced:
        raise InvalidRequest(f"{unpriced[0][:100]} has no price here. Please leave it out.")
    modalities = settings.get("responseModalities", [])
    if not isinstance(modalities, list) or any(each not in MODALITIES for each in modalities):
        raise InvalidRequest("responseModalities must be TEXT, IMAGE or both.")
    sent = {name: body[name] for name in PASSED if name in body}
    return {**sent, "generationConfig": settings, **({"tools": tools} if tools else {})}


@dataclass(frozen=True, slots=True)
class Generated:
    """By tokens: those that Google reports, held for what the request can come to."""

    fits_wallet: bool = True

    async def quote(self, asked: Asked) -> Quote:
        """Hold the input at its bound, and the limit of output tokens at the dearest rate."""
        model, request = model_of(asked.parts), request_of(asked)
        settings = request["generationConfig"]
        candidates = whole(settings, "candidateCount", default=1, least=1, most=MOST_CANDIDATES)
        wanted = whole(settings, "maxOutputTokens", default=model.usual, least=1, most=1 << 20)
        wanted = min(wanted, model.most)
        texts, media, tokens = _extent(request)
        rates = {"in": usd(model.input), "out": usd(model.output), "picture": usd(model.picture)}
        before = cost((tokens, rates["in"]))
        dearest = max(rates["out"], rates["picture"]) * candidates
        limit = affordable(
            wanted,
            least=min(wanted, model.least),
            rate=dearest,
            available=asked.available,
            before=before,
        )
        inputs = {
            "model": model.upstream,
            "limit": limit,
            "candidates": candidates,
            "text_bytes": texts,
            "media": media,
            "rates": {name: int(rate) for name, rate in rates.items()},
        }
        return Quote(cost((tokens, rates["in"]), (limit, dearest)), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of the tokens that Google reports, else of what can be seen."""
        if not evidence.is_final:
            return None
        rates = inputs["rates"]
        asked, spoken, drawn = _used(evidence.end, inputs)
        return cost((asked, rates["in"]), (spoken, rates["out"]), (drawn, rates["picture"]))

    def likely(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of a few paragraphs, and of a picture where the model draws."""
        rates = inputs["rates"]
        asked = _tokens(inputs["text_bytes"]) + MEDIA_IN * inputs["media"]
        spoken = min(USUAL_TOKENS, inputs["limit"]), rates["out"]
        drawn = PICTURE_OUT if rates["picture"] > rates["out"] else 0
        return cost((asked, rates["in"]), spoken, (drawn, rates["picture"]))


def _extent(request: dict[str, Any]) -> tuple[int, int, int]:
    """Return the bytes of a request's texts, its media items, and the most tokens they can be."""
    media = list(_media(request))
    size = sum(len(data) for _, data in media)
    texts = max(0, text_bytes(request) - size)
    tokens = texts
    for kind, data in media:
        if kind.startswith("image/"):
            tokens += PICTURE_IN
        elif kind.startswith("text/") and data:
            tokens += max(len(data), MEDIA_IN)
        else:
            tokens += CONTEXT_TOKENS
    return texts, len(media), min(tokens, CONTEXT_TOKENS)


def _media(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the type of each media item, in lower case, and its data; empty for an address."""
    if isinstance(value, list):
        for each in value:
            yield from _media(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in ("inlineData", "inline_data", "fileData", "file_data"):
                part = each if isinstance(each, dict) else {}
                kind = part.get("mimeType", part.get("mime_type"))
                data = part.get("data")
                yield f"{kind}".lower(), data if isinstance(data, str) else ""
            else:
                yield from _media(each)


def parts_of(answer: Any) -> list[dict[str, Any]]:
    """Return what a model put out, without its thoughts."""
    candidates = answer.get("candidates") if isinstance(answer, dict) else None
    contents = [each.get("content") for each in objects(candidates)]
    return [
        part
        for content in objects(contents)
        for part in objects(content.get("parts"))
        if part.get("thought") is not True
    ]


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; none of anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def usage_of(answer: Any) -> dict[str, Any]:
    """Return what Google reports of an answer's tokens; empty if nothing."""
    usage = answer.get("usageMetadata") if isinstance(answer, dict) else None
    return usage if isinstance(usage, dict) and number(usage.get("promptTokenCount")) else {}


def _used(answer: Any, inputs: dict[str, Any]) -> tuple[int, int, int]:
    """Return tokens asked, spoken (with thoughts) and drawn."""
    parts = parts_of(answer)
    drawings = [part for part in parts if "inlineData" in part or "fileData" in part]
    usage = usage_of(answer)
    if not usage:
        said = sum(text_bytes(part.get("text", "")) for part in parts if "text" in part)
        asked = _tokens(inputs["text_bytes"]) + MEDIA_IN * inputs["media"]
        return asked, _tokens(said), PICTURE_OUT * len(drawings)
    details = [
        (f"{each.get('modality')}".upper(), number(each.get("tokenCount")))
        for each in objects(usage.get("candidatesTokensDetails"))
    ]
    total = number(usage.get("candidatesTokenCount"))
    drawn = sum(count for kind, count in details if kind == "IMAGE")
    if not details and drawings:
        drawn = total
    spoken = max(total - drawn, sum(count for kind, count in details if kind != "IMAGE"))
    thought = number(usage.get("thoughtsTokenCount"))
    return number(usage.get("promptTokenCount")), spoken + thought, drawn


def _tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)
