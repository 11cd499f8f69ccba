"""Alibaba Qwen Image: pictures from a text and up to some pictures, answered at once.

Billed for each picture made, of the better model by its size (without one it chooses, up to the
larger), and for each picture shown. Errors have a word in `code`, some in a 200.
Sources: dashscope 2.0.2, the pages of Model Studio. Prices: the nodes' of August 2026.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import DATA
from proxy.catalogue import Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import Judged, Verdict
from proxy.pricing.shapes import Ruled, at, count, known, model_of, only
from proxy.vendors.states import text_at, there

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "qwen-2026-08"
BASE, PRO, LARGE = usd("0.0429"), usd("0.0572"), usd("0.10725")
LARGE_PIXELS = 2_250_000
SHOWN = usd("0.00429")
MODELS = ("qwen-image-3.0", "qwen-image-3.0-pro")
PARAMETERS = ("size", "n", "seed", "prompt_extend", "watermark", "negative_prompt")
SIZE = re.compile(r"(\d{2,5})\s*\*\s*(\d{2,5})")
MOST, MOST_SHOWN = 6, 20


def price(asked: Asked) -> Quote:
    """Price the pictures made, and those that are shown."""
    body = asked.body
    only(body, ("model", "input", "parameters"))
    model = model_of(body, MODELS)
    parameters = body.get("parameters")
    only(parameters if isinstance(parameters, dict) else {}, PARAMETERS, "parameters")
    pictures = count(body, "parameters.n", least=1, most=MOST, default=1)
    shown = _shown(body)
    each = BASE if model == MODELS[0] else PRO
    if model != MODELS[0] and _pixels(at(body, "parameters.size")) > LARGE_PIXELS:
        each = LARGE
    return known(each * pictures + SHOWN * shown, model=model, n=pictures, shown=shown)


def _pixels(size: Any) -> int:
    if size is None:
        return LARGE_PIXELS + 1
    named = SIZE.fullmatch(size) if isinstance(size, str) else None
    if named is None:
        raise InvalidRequest("parameters.size must be like 1024*1024.")
    return int(named[1]) * int(named[2])


def _shown(body: dict[str, Any]) -> int:
    """Return how many pictures a request shows; refuse what may be something else."""
    messages = at(body, "input.messages")
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise InvalidRequest("input.messages must be a list of messages.")
    only(body["input"], ("messages",), "input")
    shown = 0
    for message in messages:
        content = message.get("content")
        parts = [{"text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise InvalidRequest("content must be a list of texts and images.")
        for part in parts:
            only(part, ("text", "image"), "content")
            shown += part.get("image") is not None
    if shown > MOST_SHOWN:
        raise InvalidRequest(f"A request shows at most {MOST_SHOWN} images.")
    return shown


OPERATOR = re.compile(r"Arrearage|InvalidApiKey|AccessDenied|ModelNotFound|Unpurchased|Quota")
BLOCKED = re.compile(r"DataInspection|Inappropriate|IPInfringement", re.I)
BUSY = re.compile(r"Throttling")
CODE, SAYS = text_at("code"), text_at("message")
UNCLEAR = re.compile(r"Internal|Timeout", re.I)


def _judge(said: Said) -> Judged | None:
    """Return what an answer's code means; one in a 200 is a refusal, too."""
    code = CODE(said.json)
    if BUSY.search(code):  # One of its words is Throttling.RateQuota.
        return Judged(Verdict.BUSY)
    if OPERATOR.search(code):
        return Judged(Verdict.OPERATOR)
    if BLOCKED.search(code):
        return Judged(Verdict.MODERATED)
    if said.status == 200 and code:
        return Judged(Verdict.UNKNOWN if UNCLEAR.search(code) else Verdict.REJECTED)
    return None


PATH = "api/v1/services/aigc/multimodal-generation/generation"
QWEN = Vendor(
    name="qwen",
    display="Qwen Image",
    base_url="https://dashscope-intl.aliyuncs.com",
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            f"qwen/{PATH}",
            f"/{PATH}",
            Ruled(price),
            delivers=there("output.choices[].message.content[].image"),
            price_version=VERSION,
            title="Qwen Image",
        ),
    ),
    along={"image": DATA},
    judge=_judge,
    says=SAYS,
)
