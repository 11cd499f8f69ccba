"""The Interactions of the Gemini API: a clip of some seconds, made while the client waits.

A video comes inline, or at an address that needs our key: then it is handed out from an address of
ours, to its owner only. Prices: by the tokens that Google reports, at the rates of August 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, usd
from proxy.along import Inside
from proxy.catalogue import Gives, Kind, Named, Operation
from proxy.credentials import Header
from proxy.pricing import Quote
from proxy.pricing.shapes import one_only
from proxy.pricing.tokens import cost, number
from proxy.vendors.google_account import KEY_HEADER
from proxy.vendors.google_files import BASE, FILES, file_at, files_of
from proxy.vendors.google_prices import VERSION, objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.asked import Asked, Evidence
    from proxy.catalogue import Asset

KEY = Header(KEY_HEADER)
OMNI = ("gemini-omni-flash-preview",)
PASSED = (
    "model",
    "input",
    "generation_config",
    "response_format",
    "response_modalities",
    "system_instruction",
    "safety_settings",
    "previous_interaction_id",
    "store",
)
DROPPED = ("background", "stream", "labels")
"""An answer that is not the whole of it would be nobody's."""
IN, VIDEO_OUT, TEXT_OUT = usd("2.145"), usd("25.025"), usd("12.87")
SHORTEST_VIDEO_TOKENS = 3 * 5_800


@dataclass(frozen=True, slots=True)
class Omni:
    """By the tokens that Google reports; without a report, by those of the shortest clip.

    No field of a request bounds them, but a clip has ten seconds at most.
    """

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold what ten seconds, the media asked and the thoughts come to."""
        _interaction(asked)
        return Quote(usd("2.5"), {"model": asked.text("model")})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of the tokens."""
        usage = evidence.end.get("usage") if isinstance(evidence.end, dict) else None
        if not isinstance(usage, dict) or not _reports(evidence.end):
            return cost((SHORTEST_VIDEO_TOKENS, VIDEO_OUT))
        asked = sum(_by_modality(usage.get("input_tokens_by_modality")).values())
        made = _by_modality(usage.get("output_tokens_by_modality"))
        drawn = made.pop("VIDEO", 0)
        spoken = sum(made.values()) + number(usage.get("total_thought_tokens"))
        return cost((asked, IN), (drawn, VIDEO_OUT), (spoken, TEXT_OUT))


def _by_modality(listed: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in objects(listed):
        kind = f"{each.get('modality')}".upper()
        found[kind] = found.get(kind, 0) + number(each.get("tokens"))
    return found


def _interaction(asked: Asked) -> dict[str, Any]:
    """Return the request as Google shall have it; refuse what has no price."""
    body = {name: value for name, value in asked.body.items() if value is not None}
    if body.get("model") not in OMNI:
        named = f"{body.get('model', '')}"[:100]
        raise InvalidRequest(f"{named!r} has no price here: model must be {', '.join(OMNI)}.")
    one_only(body, "generation_config")
    unknown = next((name for name in body if name not in (*PASSED, *DROPPED)), None)
    if unknown is not None:
        raise InvalidRequest(f"{unknown[:100]} has no price here. Please leave it out.")
    return {name: value for name, value in body.items() if name in PASSED}


def _earlier(asked: Asked) -> Iterable[Asset]:
    """Return what a request begins with: an interaction, files at Google."""
    if asked.body.get("previous_interaction_id") is not None:
        yield "interaction", asked.text("previous_interaction_id")
    yield from files_of(asked.body, asked.along)


def _made(answer: Any) -> Iterable[Asset]:
    found = answer.get("id") if isinstance(answer, dict) else None
    if isinstance(found, str) and 0 < len(found) <= 1000:
        yield "interaction", found
    for step in objects(answer.get("steps")) if isinstance(answer, dict) else []:
        for part in objects(step.get("content")):
            if name := file_at(part.get("uri")):
                yield "file", name


def _reply(answer: Any) -> Any:
    """Return an interaction whose videos are fetched from us."""
    if not isinstance(answer, dict) or not isinstance(answer.get("steps"), list):
        return answer
    return {**answer, "steps": [_ours(step, "content") for step in answer["steps"]]}


def _ours(part: Any, inside: str = "") -> Any:
    """Return a step, or a part of its content, with our address in the place of Google's."""
    if not isinstance(part, dict):
        return part
    if inside and isinstance(part.get(inside), list):
        return {**part, inside: [_ours(each) for each in part[inside]]}
    name = file_at(part.get("uri"))
    return {**part, "uri": f"/proxy/gemini-interactions/files/{name}"} if name else part


def _reports(answer: Any) -> bool:
    """Whether an answer says its tokens."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    return isinstance(usage, dict) and isinstance(usage.get("output_tokens_by_modality"), list)


OPERATIONS = (
    Operation(
        "POST",
        "gemini-interactions",
        "/v1beta/interactions",
        Omni(),
        base=BASE,
        credential=KEY,
        uses=_earlier,
        makes=_made,
        prepare=lambda asked, _: _interaction(asked),
        along=dict.fromkeys(FILES, Inside({"uri": "data"}, kind="mime_type")),
        reply=_reply,
        reports=_reports,
        timeout_seconds=900,
        price_version=VERSION,
        title="Google Gemini Omni",
    ),
    Operation(
        "GET",
        "gemini-interactions/files/{file}",
        "/v1beta/files/{file}:download?alt=media",
        kind=Kind.RESULT,
        gives=Gives.BYTES,
        names=Named("path", "file"),
        scope="file",
        of_call=True,
        base=BASE,
        credential=KEY,
    ),
)
