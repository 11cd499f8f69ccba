"""OpenRouter: POST /api/v1/chat/completions. Errors: {"error": {"code", "message"}}, some in a 200.

`usage.cost` is in dollars.
"""

import time
import uuid

from sandbox import language, pictures, works
from sandbox.failures import OF_MODEL, OF_WORDS
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

SAYS = {
    402: "Insufficient credits. Add more using https://openrouter.ai/settings/credits",
    403: "Key limit exceeded (total limit)",
    502: "Provider returned error",
}


async def complete(exchange: Exchange) -> Answer:
    """Say something."""
    body = works.asked(exchange)
    if "/" not in works.text(body, "model"):
        raise RefusedError(400, f"{body['model']} is not a valid model ID")
    if not isinstance(body.get("messages"), list):
        raise RefusedError(400, "messages is required")
    limit = pictures.number(body, "max_completion_tokens", least=1, most=10**6, default=10**6)
    text, tokens, is_cut = language.spoken(exchange, limit)
    message = {"role": "assistant", "content": text, "refusal": None, "reasoning": None}
    reason = "length" if is_cut else "stop"
    told: dict[str, object] = {
        "id": f"gen-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body["model"],
        "provider": "Sandbox",
        "system_fingerprint": None,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }
    if language.reports(exchange):
        asked = language.asked_tokens(body)
        total = asked + tokens
        told["usage"] = {
            "prompt_tokens": asked,
            "completion_tokens": tokens,
            "total_tokens": total,
            "cost": total / 1_000_000,
        }
    return Answer.json(told)


OPENROUTER = Vendor(
    name="openrouter",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing(SAYS, lambda status, said: {"error": {"code": status, "message": said}}),
    in_its_words=lambda status: RefusedError(status or 402),
    failures=OF_MODEL | OF_WORDS,
    routes=(Route("POST", "/api/v1/chat/completions", Kind.SUBMIT, complete),),
)
