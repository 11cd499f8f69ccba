"""Quiver AI: POST /v1/svgs/<generations|vectorizations>, JSON in, SVG out.

-> {"id", "created", "data": [{"svg", "mime_type"}], "usage": {...}}
Errors: {"status", "code", "message", "request_id"}.
"""

import time
import uuid

from sandbox import pictures, works
from sandbox.media import render
from sandbox.vendor import Answer, Exchange, Kind, Route, Vendor, in_header

MODELS = ("arrow-1.1", "arrow-1.1-max", "arrow-preview")
CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    402: "insufficient_credits",
    403: "account_frozen",
    404: "model_not_found",
    422: "invalid_request",
    429: "rate_limit_exceeded",
}


def _shape(status: int, sentence: str) -> object:
    code = CODES.get(status, "internal_error")
    told = {"status": status, "code": code, "message": sentence}
    return {**told, "request_id": str(uuid.uuid4())}


async def draw(exchange: Exchange) -> Answer:
    """Draw what a text says, or what a picture shows."""
    body = works.asked(exchange)
    works.one_of(body, "model", MODELS)
    if exchange.request.path.endswith("vectorizations"):
        works.given(body, "image.url", "image.base64")
    else:
        works.text(body, "prompt")
    count = pictures.number(body, "n", least=1, most=16, default=1)
    drawn = [
        {"svg": render(pictures.media(exchange, "svg", n)).decode(), "mime_type": "image/svg+xml"}
        for n in range(count)
    ]
    usage = {"total_tokens": 900, "input_tokens": 100, "output_tokens": 800}
    told = {"id": str(uuid.uuid4()), "created": int(time.time()), "data": drawn, "usage": usage}
    return Answer.json(told)


QUIVER = Vendor(
    name="quiver",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing({402: "You have no credits left"}, _shape),
    routes=(
        Route("POST", "/v1/svgs/generations", Kind.SUBMIT, draw),
        Route("POST", "/v1/svgs/vectorizations", Kind.SUBMIT, draw),
    ),
)
