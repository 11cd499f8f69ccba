"""MiniMax, two generations: v1 says all in a 200, v2 by statuses.

    POST /v1/video_generation               -> {"task_id", "base_resp"}
    GET  /v1/query/video_generation?task_id -> {"task_id", "status", "file_id", "base_resp"}
    GET  /v1/files/retrieve?file_id         -> {"file": {"download_url"}, "base_resp"}
    POST /v2/video_generation, /v2/video_regeneration, /v2/h3_context_ir -> {"task_id"}
    GET  /v2/query/video_generation/<id>    -> {"task": {"status", "content", "usage"}}

An error of v1 is a `base_resp` with a code, with its status 200 (`inside`); one of v2 has a type, a
sentence and its status. A reference or a base is five seconds long here, or six where it is anew.
"""

import math
import secrets
import uuid

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL, OF_WORDS
from sandbox.jobs import Job
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

OLDER = ("T2V-01", "T2V-01-Director", "I2V-01", "I2V-01-Director", "I2V-01-live", "S2V-01")
REFERENCE_SECONDS = 5
BASE_SECONDS = 6
H3_RATE, H3_SHORTEST, H3_STEP = 24, 107, 17
"""Frames a second, of the shortest film, and from one length to the next: nodes insist on them."""
CODES = {
    1002: "rate limit",
    1004: "authentication failed",
    1008: "insufficient balance",
    1026: "input new_sensitive",
    1027: "output new_sensitive",
    1033: "system error",
    2013: "invalid params",
}
BY_STATUS = {400: 2013, 401: 1004, 402: 1008, 403: 1004, 404: 2013, 422: 1026, 429: 1002}
V1_WORDS = {None: "Processing", "done": "Success"}
V2_WORDS = {None: "running", "done": "succeeded"}
FINE = {"status_code": 0, "status_msg": "success"}


def refuse(status: int, detail: object) -> Answer:
    """Refuse with a code of v1 and an error of v2 at once: a path says one of them."""
    code, said = detail if isinstance(detail, tuple) else (BY_STATUS.get(status, 1033), detail)
    message = f"{said or CODES[code]}"
    told = {
        "base_resp": {"status_code": code, "status_msg": message},
        "type": "error",
        "error": {"type": "error", "message": message, "http_code": f"{status}"},
        "request_id": uuid.uuid4().hex,
    }
    return Answer.json(told, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    return RefusedError(200, (code if code in CODES else 1008, None))


def _wrong(said: str) -> RefusedError:
    return RefusedError(200, (2013, f"invalid params, {said}"))


# --- v1 -----------------------------------------------------------------------------------------


async def generate(exchange: Exchange) -> Answer:
    """Accept a video by Hailuo 02 or an older model."""
    body = exchange.body
    if body is None:
        raise _wrong("no JSON")
    model = body.get("model")
    if model == "MiniMax-Hailuo-02":
        seconds = body.get("duration", 6)
        if (body.get("resolution", "768P"), seconds) not in {
            ("768P", 6), ("768P", 10), ("1080P", 6)
        }:  # fmt: skip
            raise _wrong("duration")
    elif model not in OLDER:
        raise _wrong("model")
    if model == "S2V-01":
        _check_subject(body)
    return _taken_v1(exchange)


def _check_subject(body: Body) -> None:
    subjects = body.get("subject_reference")
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise _wrong("subject_reference")
    subject = subjects[0]
    pictures = works.at(subject, "image")
    if works.at(subject, "type") != "character" or not isinstance(pictures, list):
        raise _wrong("subject_reference")


def _taken_v1(exchange: Exchange) -> Answer:
    job = works.start(exchange, "mp4", seconds=6, alias=f"{secrets.randbelow(10**14) + 10**14}")
    return Answer.json({"task_id": job.id, "base_resp": FINE})


async def query(exchange: Exchange) -> Answer:
    """Tell where a task of v1 stands."""
    job = exchange.find_job(exchange.request.query.get("task_id", ""))
    if job is None:
        raise _wrong("task_id")
    ending = job.ending
    told = {"task_id": job.id, "status": V1_WORDS.get(ending, "Fail"), "base_resp": FINE}
    if ending == "done":
        told["file_id"] = f"{job.alias}"
    elif ending in {"moderated", "content_moderated"}:
        told["base_resp"] = {"status_code": 1027, "status_msg": CODES[1027]}
    return Answer.json(told)


async def retrieve(exchange: Exchange) -> Answer:
    """Tell where a file lies."""
    file = exchange.request.query.get("file_id", "")
    job = exchange.heed(exchange.desk.jobs.find_by_alias(file))
    if job is None or job.ending != "done":
        raise _wrong("file_id")
    found = {
        "file_id": int(file),
        "filename": "output.mp4",
        "download_url": works.addresses(exchange, "minimax", job)[0],
    }
    return Answer.json({"file": found, "base_resp": FINE})


# --- v2 -----------------------------------------------------------------------------------------


def _kinds(body: Body) -> list[str]:
    works.one_of(body, "model", ("MiniMax-H3",))
    content = body.get("content")
    if not isinstance(content, list) or not content:
        raise RefusedError(400, "content is required")
    kinds = ("text", "image_url", "video_url", "audio_url")
    return [f"{works.one_of(part, 'type', kinds)}" for part in content]


async def generate_h3(exchange: Exchange) -> Answer:
    """Accept a video by H3."""
    body = works.asked(exchange)
    kinds = _kinds(body)
    works.one_of(body, "resolution", ("768P", "2K"), default="768P")
    seconds = works.one_of(body, "duration", range(4, 16), default=6)
    assert isinstance(seconds, int), "it is one of a range"
    read = REFERENCE_SECONDS if "video_url" in kinds else 0
    return _taken_v2(exchange, seconds=seconds, read=read)


async def regenerate(exchange: Exchange) -> Answer:
    """Accept a video that is made anew, in 2K."""
    body = works.asked(exchange)
    works.one_of(body, "resolution", ("2K",))
    content = body.get("content")
    first = content[0] if isinstance(content, list) and content else None
    if _kinds(body) != ["video_url"] or works.at(first, "role") != "base_video":
        raise RefusedError(400, "content must be one base_video")
    return _taken_v2(exchange, seconds=BASE_SECONDS, read=0)


async def enhance(exchange: Exchange) -> Answer:
    """Accept a prompt."""
    _kinds(works.asked(exchange))
    return _taken_v2(exchange, seconds=0, read=0)


def _taken_v2(exchange: Exchange, *, seconds: int, read: int) -> Answer:
    formats = ("mp4",) if seconds else ()
    steps = math.ceil(max(0, seconds * H3_RATE - H3_SHORTEST) / H3_STEP)
    length = (H3_SHORTEST + steps * H3_STEP) / H3_RATE
    job = works.start(exchange, *formats, seconds=length, rate=H3_RATE, made=seconds, read=read)
    return Answer.json({"task_id": job.id})


async def task(exchange: Exchange) -> Answer:
    """Tell where a task of v2 stands."""
    job = works.find(exchange)
    told: dict[str, object] = {"id": job.id, "status": V2_WORDS.get(job.ending, "failed")}
    if job.ending == "done":
        urls = works.addresses(exchange, "minimax", job)
        told["content"] = {"url": urls[0]} if urls else {"prompt": "A fox at dawn, in the mist"}
        told["usage"] = _usage(job)
    elif job.ending is not None:
        blocked = job.ending != "failed"
        told["error"] = {
            "code": "1027" if blocked else "1033",
            "message": "new_sensitive content" if blocked else "system error",
        }
    return Answer.json({"task": told})


def _usage(job: Job) -> dict[str, int]:
    made, read = job.facts["made"], job.facts["read"]
    assert isinstance(made, int), "it is counted"
    assert isinstance(read, int), "it is counted"
    return {"output_seconds": made, "input_seconds": read, "total_seconds": made + read}


MINIMAX = Vendor(
    name="minimax",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL | OF_WORDS,
    ids=frozenset({"task_id"}),
    routes=(
        Route("POST", "/v1/video_generation", Kind.SUBMIT, generate),
        Route("GET", "/v1/query/video_generation", Kind.POLL, query),
        Route("GET", "/v1/files/retrieve", Kind.FREE, retrieve),
        Route("POST", "/v2/video_generation", Kind.SUBMIT, generate_h3),
        Route("POST", "/v2/video_regeneration", Kind.SUBMIT, regenerate),
        Route("POST", "/v2/h3_context_ir", Kind.SUBMIT, enhance),
        Route("GET", "/v2/query/video_generation/{id}", Kind.POLL, task),
        works.FILES,
    ),
)
