"""Meta Muse Image: POST /v1/images/<generations|edits>, JSON in, pictures in base64.

-> {"created", "data": [{"b64_json"}], "usage": {"input_tokens", "output_tokens"}}
Of several pictures each is judged by itself: a prompt that says "partly" loses one of them.
Errors: {"error": {"message", "type", "param"}}.
"""

import time

from sandbox import pictures, works
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header


def shape(status: int, sentence: str) -> object:
    """Refuse as most do that speak like OpenAI."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": sentence, "type": kind, "param": None}}


async def make(exchange: Exchange) -> Answer:
    """Make as many pictures as are asked for."""
    body = works.asked(exchange)
    prompt = works.text(body, "prompt")
    if body.get("model") != "muse-image-1.0":
        raise RefusedError(404, "The model does not exist")
    if exchange.request.path.endswith("/edits"):
        works.address({"first": _first(body)}, "first")
    count = pictures.number(body, "n", least=1, most=10, default=1)
    count -= 1 if "partly" in prompt and count > 1 else 0
    made = [pictures.encoded(pictures.media(exchange, "png", n)) for n in range(count)]
    usage = {"input_tokens": 12, "output_tokens": 1000 * count}
    data = [{"b64_json": each} for each in made]
    return Answer.json({"created": int(time.time()), "data": data, "usage": usage})


def _first(body: Body) -> object:
    images = body.get("images")
    first = images[0] if isinstance(images, list) and images else None
    return first.get("image_url") if isinstance(first, dict) else None


META = Vendor(
    name="meta",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing({402: "Insufficient balance"}, shape),
    routes=(
        Route("POST", "/v1/images/generations", Kind.SUBMIT, make),
        Route("POST", "/v1/images/edits", Kind.SUBMIT, make),
    ),
)
