"""Ideogram: the answer is where the pictures lie.

    POST /generate                                JSON, {"image_request": {...}}
    POST /v1/ideogram-v3/<generate|edit>          multipart
    POST /v1/ideogram-v4/generate                 multipart: text_prompt, or json_prompt as JSON
    POST /v1/text-to-image/p-image-ideogram       multipart
    -> {"created", "data": [{"url", "prompt", "resolution", "is_image_safe", "seed"}]}

A prompt that says "unsafe" gives a picture that is not safe: a 200 with an empty address. One that
is not let in is a 422. Errors: {"error", "reject_reason"}.
"""

import json
from datetime import UTC, datetime

from sandbox import pictures, works
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

SPEEDS = ("TURBO", "DEFAULT", "QUALITY")
REASONS = {402: "insufficient_funds", 429: "max_inflight_requests"}
SAYS = {422: "The prompt failed the safety check", 402: "Insufficient funds in the account"}


def refuse(status: int, detail: object) -> Answer:
    """Refuse with a sentence, and for some with a word."""
    told: dict[str, object] = {"error": f"{detail or SAYS.get(status) or works.USUAL[status]}"}
    if status in REASONS:
        told["reject_reason"] = REASONS[status]
    return Answer.json(told, status=status)


def _drawn(exchange: Exchange, prompt: str, count: int) -> Answer:
    safe = "unsafe" not in prompt
    urls = pictures.hung(exchange, "ideogram", *["png"] * count) if safe else [""] * count
    data = [
        {
            "url": url,
            "prompt": prompt,
            "resolution": "1024x1024",
            "is_image_safe": safe,
            "seed": 7,
        }
        for url in urls
    ]
    return Answer.json({"created": datetime.now(UTC).isoformat(), "data": data})


async def old(exchange: Exchange) -> Answer:
    """Draw by one of the first models."""
    body = works.asked(exchange)
    works.one_of(body, "image_request.model", ("V_1", "V_1_TURBO", "V_2", "V_2_TURBO"))
    count = pictures.number(body, "image_request.num_images", least=1, most=8, default=1)
    return _drawn(exchange, works.text(body, "image_request.prompt"), count)


async def v3(exchange: Exchange) -> Answer:
    """Draw, or edit what the mask shows."""
    form = pictures.form(exchange)
    known = {"character_reference_images", "character_reference_images_mask"}
    if exchange.request.path.endswith("/edit"):
        if not {"image", "mask"} <= set(form.files):
            raise RefusedError(400, "image and mask are required")
        known |= {"image", "mask"}
    if unknown := set(form.files) - known - {"style_reference_images"}:
        raise RefusedError(400, f"unknown file {min(unknown)}")
    body = pictures.fields(form)
    works.one_of(body, "rendering_speed", SPEEDS, default="DEFAULT")
    count = pictures.number(body, "num_images", least=1, most=8, default=1)
    return _drawn(exchange, works.text(body, "prompt"), count)


async def v4(exchange: Exchange) -> Answer:
    """Draw what one of two prompts says."""
    body = pictures.fields(pictures.form(exchange))
    works.one_of(body, "rendering_speed", SPEEDS, default="DEFAULT")
    if ("text_prompt" in body) == ("json_prompt" in body):
        raise RefusedError(400, "Supply exactly one of text_prompt and json_prompt")
    if "json_prompt" in body:
        try:
            prompt = json.loads(works.text(body, "json_prompt"))
        except ValueError:
            prompt = None
        if not isinstance(prompt, dict):
            raise RefusedError(400, "json_prompt is not a JSON object")
        return _drawn(exchange, json.dumps(prompt), 1)
    return _drawn(exchange, works.text(body, "text_prompt"), 1)


async def p_image(exchange: Exchange) -> Answer:
    """Draw a P-Image."""
    body = pictures.fields(pictures.form(exchange))
    works.one_of(body, "quality", ("VERY_LOW", "LOW", "MEDIUM", "HIGH"), default="MEDIUM")
    works.one_of(body, "resolution", ("1K", "2K"), default="1K")
    pictures.number(body, "seed", least=0, most=2**31 - 1, default=0)
    return _drawn(exchange, works.text(body, "prompt"), 1)


IDEOGRAM = Vendor(
    name="ideogram",
    credential=in_header("api-key"),
    refuse=refuse,
    routes=(
        Route("POST", "/generate", Kind.SUBMIT, old),
        Route("POST", "/v1/ideogram-v3/generate", Kind.SUBMIT, v3),
        Route("POST", "/v1/ideogram-v3/edit", Kind.SUBMIT, v3),
        Route("POST", "/v1/ideogram-v4/generate", Kind.SUBMIT, v4),
        Route("POST", "/v1/text-to-image/p-image-ideogram", Kind.SUBMIT, p_image),
        works.FILES,
    ),
)
