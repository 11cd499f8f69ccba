"""Qwen Image, of Model Studio: the answer is where the pictures lie.

POST /api/v1/services/aigc/multimodal-generation/generation
-> {"request_id", "output": {"choices": [{"finish_reason", "message": {"role", "content"}}]},
    "usage": {"image_count", "width", "height"}}

Errors: {"request_id", "code", "message"}; under `inside` in a 200.
"""

import uuid

from sandbox import pictures, works
from sandbox.failures import OF_WORDS
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

CODES = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    402: "Arrearage",
    403: "AccessDenied.Unpurchased",
    404: "ModelNotFound",
    422: "DataInspectionFailed",
    429: "Throttling.RateQuota",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "InternalError.Timeout",
}
ARREARS = 402


def _shape(status: int, sentence: str) -> object:
    code = CODES.get(status, "InternalError")
    return {"request_id": str(uuid.uuid4()), "code": code, "message": sentence}


async def draw(exchange: Exchange) -> Answer:
    """Draw as many pictures as are asked for."""
    body = works.asked(exchange)
    works.one_of(body, "model", ("qwen-image-3.0", "qwen-image-3.0-pro"))
    messages = works.at(body, "input.messages")
    if not isinstance(messages, list) or len(messages) != 1:
        raise RefusedError(400, "input.messages must hold one message")
    count = pictures.number(body, "parameters.n", least=1, most=6, default=1)
    urls = pictures.hung(exchange, "qwen", *["png"] * count)
    choices = [
        {"finish_reason": "stop", "message": {"role": "assistant", "content": [{"image": url}]}}
        for url in urls
    ]
    usage = {"image_count": count, "width": 1024, "height": 1024}
    told = {"request_id": str(uuid.uuid4()), "output": {"choices": choices}, "usage": usage}
    return Answer.json(told)


QWEN = Vendor(
    name="qwen",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing({402: "Access denied, your account is in arrears"}, _shape),
    in_its_words=lambda status: RefusedError(status or ARREARS),
    failures=OF_WORDS,
    ids=frozenset({"request_id"}),
    routes=(
        Route("POST", "/api/v1/services/aigc/multimodal-generation/generation", Kind.SUBMIT, draw),
        works.FILES,
    ),
)
