"""Anthropic: POST /v1/messages of version 2023-06-01; the key goes in `x-api-key`.

Errors: {"type": "error", "error": {"type", "message"}, "request_id"}. A prompt that says
"refuse this" is refused in a 200.
"""

import uuid

from sandbox import language, pictures, works
from sandbox.failures import OF_MODEL
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
}
SAYS = {402: "Your credit balance is too low to access the Anthropic API"}
BLOCKS = ("text", "image", "tool_use", "tool_result", "thinking")


def _shape(status: int, sentence: str) -> object:
    error = {"type": TYPES.get(status, "api_error"), "message": sentence}
    return {"type": "error", "error": error, "request_id": f"req_{uuid.uuid4().hex}"}


def _check(exchange: Exchange, body: Body) -> int:
    if exchange.request.headers.get("anthropic-version") != "2023-06-01":
        raise RefusedError(400, "anthropic-version: header is required")
    if not works.text(body, "model").startswith("claude-"):
        raise RefusedError(404, "model: not found")
    limit = pictures.number(body, "max_tokens", least=1, most=128_000, default=0)
    if not limit:
        raise RefusedError(400, "max_tokens: Field required")
    budget = works.at(body, "thinking.budget_tokens")
    if isinstance(budget, int) and budget >= limit:
        raise RefusedError(400, "max_tokens must be greater than thinking.budget_tokens")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusedError(400, "messages: Field required")
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else []:
            if not isinstance(block, dict) or block.get("type") not in BLOCKS:
                raise RefusedError(400, "messages.content: unknown block")
    return limit


async def messages(exchange: Exchange) -> Answer:
    """Say something."""
    body = works.asked(exchange)
    limit = _check(exchange, body)
    text, tokens, is_cut = language.spoken(exchange, limit)
    refuses = b"refuse this" in exchange.raw
    told: dict[str, object] = {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [] if refuses else [{"type": "text", "text": text}],
        "stop_reason": "refusal" if refuses else "max_tokens" if is_cut else "end_turn",
        "stop_sequence": None,
    }
    if language.reports(exchange):
        told["usage"] = {
            "input_tokens": language.asked_tokens(body),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": tokens,
        }
    return Answer.json(told)


ANTHROPIC = Vendor(
    name="anthropic",
    credential=in_header("x-api-key"),
    refuse=works.refusing(SAYS, _shape),
    failures=OF_MODEL,
    routes=(Route("POST", "/v1/messages", Kind.SUBMIT, messages),),
)
