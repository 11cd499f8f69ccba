"""Reve: POST /v1/image/<create|edit|remix>, JSON in, the picture out.

With `Accept: application/json` (or any) the answer is JSON with the picture in base64. Headers tell
the version, the request, the credits used and left, and whether the content breaks the rules.
Errors: {"error_code", "message", "instance_id"}.
"""

import uuid

from sandbox import pictures, works
from sandbox.media import render
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "INVALID_API_KEY",
    402: "BUDGET_EXHAUSTED",
    403: "FORBIDDEN",
    422: "INVALID_PARAMETER_VALUE",
    429: "PARTNER_API_TOKEN_RATE_LIMIT_EXCEEDED",
}
VERSIONS = {
    "create": ("latest", "reve-create@20250915"),
    "edit": ("latest", "latest-fast", "reve-edit@20250915", "reve-edit-fast@20251030"),
    "remix": ("latest", "latest-fast", "reve-remix@20250915", "reve-remix-fast@20251030"),
}


def _shape(status: int, sentence: str) -> object:
    code = CODES.get(status, "INTERNAL_ERROR")
    return {"error_code": code, "message": sentence, "instance_id": str(uuid.uuid4())}


def _check(work: str, body: Body) -> str:
    works.text(body, "edit_instruction" if work == "edit" else "prompt")
    if work == "edit":
        works.text(body, "reference_image")
    if work == "remix":
        given = body.get("reference_images")
        if not isinstance(given, list) or not 1 <= len(given) <= 6:
            raise RefusedError(400, "reference_images must be one to six")
    pictures.number(body, "test_time_scaling", least=1, most=15, default=1)
    return f"{works.one_of(body, 'version', VERSIONS[work], default='latest')}"


async def make(exchange: Exchange) -> Answer:
    """Make a picture; one whose prompt says "violation" breaks the rules."""
    body = works.asked(exchange)
    version = _check(exchange.request.path.rpartition("/")[2], body)
    violates = b"violation" in exchange.raw
    headers = {
        "x-reve-request-id": str(uuid.uuid4()),
        "x-reve-version": version,
        "x-reve-content-violation": str(violates).lower(),
        "x-reve-credits-used": "18",
        "x-reve-credits-remaining": "982",
    }
    made = pictures.media(exchange, "webp")
    if exchange.request.headers.get("accept", "").startswith("image/"):
        return Answer(render(made), content_type=made.content_type, headers=headers)
    told = {"image": pictures.encoded(made), "version": version, "content_violation": violates}
    answer = Answer.json({**told, "credits_used": 18, "credits_remaining": 982})
    answer.headers = headers
    return answer


REVE = Vendor(
    name="reve",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing({402: "The budget is exhausted"}, _shape),
    routes=tuple(Route("POST", f"/v1/image/{work}", Kind.SUBMIT, make) for work in VERSIONS),
)
