"""OpenAI: responses, pictures, and Sora as it was.

    POST /v1/responses            -> the response, which is kept; GET /v1/responses/{id} the same
    POST /v1/images/generations   JSON;  POST /v1/images/edits  multipart
                                  -> {"created", "data": [{"b64_json"}], "usage"}
    POST /v1/videos               multipart -> a job; GET /v1/videos/{id}; .../{id}/content: a file

Errors: {"error": {"message", "type", "param", "code"}}. Out of credit is a 429, a prompt that is
not let in a 400; a field that a model does not know is one, too.
"""

import re
import time
import uuid

from sandbox import language, pictures, works
from sandbox.failures import OF_JOB, OF_MODEL, OF_POLL
from sandbox.media import Media
from sandbox.vendor import (
    Answer,
    Body,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    delivery,
    in_header,
)

CODES = {
    401: "invalid_api_key",
    402: "insufficient_quota",
    403: "unsupported_country_region_territory",
    404: "model_not_found",
    429: "rate_limit_exceeded",
}
SAYS = {402: "You exceeded your current quota, please check your plan and billing details."}
MODELS = re.compile(r"gpt-(4|5)[\w.-]*|o\d(-\w+)?")
PICTURES = ("prompt", "model", "n", "size", "quality", "background", "moderation",
            "output_format", "output_compression", "input_fidelity", "user", "style")  # fmt: skip
TOKENS = {"low": 272, "medium": 1056, "high": 4160, "auto": 4160}


def _shape(status: int, sentence: str) -> object:
    kind = "invalid_request_error" if status < 500 else "server_error"
    code = CODES.get(status)
    return {"error": {"message": sentence, "type": kind, "param": None, "code": code}}


async def respond(exchange: Exchange) -> Answer:
    """Say something, and keep it."""
    body = works.asked(exchange)
    if not MODELS.fullmatch(works.text(body, "model")):
        raise RefusedError(404, f"The model {body['model']} does not exist")
    if not isinstance(body.get("input"), str | list):
        raise RefusedError(400, "Missing required parameter: 'input'")
    limit = pictures.number(body, "max_output_tokens", least=16, most=128_000, default=128_000)
    told = _response(exchange, body, limit)
    if body.get("store") is not False:
        name = f"{told['id']}"
        facts = {"response": told}
        exchange.desk.jobs.start(failures=pictures.AT_ONCE, job_id=name, facts=facts)
    return Answer.json(told)


def _response(exchange: Exchange, body: Body, limit: int) -> dict[str, object]:
    text, tokens, is_cut = language.spoken(exchange, limit)
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [part]}
    told: dict[str, object] = {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": time.time(),
        "model": body["model"],
        "status": "incomplete" if is_cut else "completed",
        "error": None,
        "output": [{**message, "status": "completed"}],
        "usage": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    if language.reports(exchange):
        asked = language.asked_tokens(body)
        told["usage"] = {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked + tokens,
        }
    return told


async def response(exchange: Exchange) -> Answer:
    """Give a response that was kept."""
    job = exchange.find_job(exchange.request.match_info["id"])
    if job is None:
        raise RefusedError(404, "Response not found")
    return Answer.json(job.facts["response"])


async def generate(exchange: Exchange) -> Answer:
    """Make pictures of a text."""
    return _painted(exchange, works.asked(exchange))


async def edit(exchange: Exchange) -> Answer:
    """Make pictures of pictures."""
    form = pictures.form(exchange)
    if not {"image", "image[]"} & set(form.files) or set(form.files) - {"image", "image[]", "mask"}:
        raise RefusedError(400, "image is required")
    return _painted(exchange, pictures.fields(form))


def _painted(exchange: Exchange, body: Body) -> Answer:
    if not works.text(body, "model").startswith("gpt-image-"):
        raise RefusedError(404, f"The model {body['model']} does not exist")
    works.only(body, PICTURES)
    works.text(body, "prompt")
    quality = works.one_of(body, "quality", TOKENS, default="auto")
    count = pictures.number(body, "n", least=1, most=10, default=1)
    made = [pictures.encoded(pictures.media(exchange, "png", n)) for n in range(count)]
    asked, said = language.asked_tokens(body), TOKENS[f"{quality}"] * count
    told: dict[str, object] = {
        "created": int(time.time()),
        "data": [{"b64_json": each} for each in made],
    }
    if language.reports(exchange):
        details = {"text_tokens": asked, "image_tokens": 0}
        usage = {"input_tokens": asked, "input_tokens_details": details, "output_tokens": said}
        told["usage"] = {**usage, "total_tokens": asked + said}
    return Answer.json(told)


WORDS = {None: "in_progress", "done": "completed"}


async def video(exchange: Exchange) -> Answer:
    """Accept a video."""
    body = pictures.fields(pictures.form(exchange))
    works.one_of(body, "model", ("sora-2", "sora-2-pro"))
    seconds = f"{works.one_of(body, 'seconds', ('4', '8', '12'), default='4')}"
    works.text(body, "prompt")
    made = Media("mp4", width=64, height=64, seconds=float(seconds))
    name = f"video_{uuid.uuid4().hex}"
    job = exchange.desk.jobs.start(made, failures=exchange.failures, job_id=name)
    return Answer.json({"id": job.id, "object": "video", "status": "queued", "progress": 0})


async def state(exchange: Exchange) -> Answer:
    """Tell where a video stands."""
    job = works.find(exchange)
    ending = job.ending
    word = WORDS.get(ending, "failed")
    told: dict[str, object] = {"id": job.id, "object": "video", "status": word}
    told["progress"] = int(100 * job.progress)
    if word == "failed":
        code = "moderation_blocked" if ending != "failed" else "internal"
        told["error"] = {"code": code, "message": "The video was not made"}
    return Answer.json(told)


async def content(exchange: Exchange) -> Answer:
    """Hand over a video."""
    job = works.find(exchange)
    if job.ending != "done":
        raise RefusedError(404, "The video is not there yet")
    return await delivery(job.makes[0])


OPENAI = Vendor(
    name="openai",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=works.refusing(SAYS, _shape),
    failures=OF_MODEL | OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    routes=(
        Route("POST", "/v1/responses", Kind.SUBMIT, respond),
        Route("GET", "/v1/responses/{id}", Kind.RESULT, response),
        Route("POST", "/v1/images/generations", Kind.SUBMIT, generate),
        Route("POST", "/v1/images/edits", Kind.SUBMIT, edit),
        Route("POST", "/v1/videos", Kind.SUBMIT, video),
        Route("GET", "/v1/videos/{id}", Kind.POLL, state),
        Route("GET", "/v1/videos/{id}/content", Kind.RESULT, content),
    ),
)
