"""PixVerse: every answer is {"ErrCode", "ErrMsg", "Resp"} with the status 200.

    POST /openapi/v2/image/upload                  -> {"img_id", "img_url"}, a form in
    POST /openapi/v2/video/text/generate, .../img/generate, .../transition/generate
                                                   -> {"video_id"}, a number
    GET  /openapi/v2/video/result/<video_id>       -> {"id", "status", "url", ...}

A request has an Ai-trace-id, and the same one is answered as before. Statuses are numbers: 1 done,
5 generating, 7 blocked, 8 failed, and newer 9 and 10, which wait.
"""

import re
import secrets

from aiohttp import web

from sandbox import forms, works
from sandbox.failures import OF_JOB, OF_POLL, OF_WORDS
from sandbox.far_side import Desk
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

CODES = {
    10001: "token is expired",
    10003: "token is invalid",
    400011: "empty parameter",
    400017: "invalid parameter",
    500044: "reached the limit for concurrent generations",
    500054: "content moderation failed",
    500090: "insufficient balance",
    99999: "unknown error",
}
BY_STATUS = {400: 400017, 401: 10003, 402: 500090, 403: 10001, 404: 400017, 429: 500044}
WORDS = {None: 10, "done": 1, "failed": 8, "moderated": 7, "content_moderated": 7}
TRACE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MODELS = ("v3.5", "v4", "v4.5", "v5")
_key = in_header("api-key", refused=200)


def refuse(status: int, detail: object) -> Answer:
    """Refuse by a code."""
    code, said = detail if isinstance(detail, tuple) else (BY_STATUS.get(status, 99999), detail)
    told = {"ErrCode": code, "ErrMsg": f"{said or CODES[code]}", "Resp": None}
    return Answer.json(told, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    return RefusedError(200, (code if code in CODES else 500090, None))


def _wrong(said: str) -> RefusedError:
    return RefusedError(200, (400017, f"invalid parameter: {said}"))


def _credential(desk: Desk, request: web.Request) -> RefusedError | None:
    if not TRACE.fullmatch(request.headers.get("ai-trace-id", "")):
        return RefusedError(200, (400011, "Ai-trace-id is required"))
    return RefusedError(200, (10003, None)) if _key(desk, request) else None


def _fine(found: object) -> Answer:
    return Answer.json({"ErrCode": 0, "ErrMsg": "Success", "Resp": found})


async def upload(exchange: Exchange) -> Answer:
    """Keep a picture under a number."""
    try:
        form = forms.read(exchange.request.headers.get("content-type", ""), exchange.raw)
    except forms.InvalidFormError as invalid:
        raise _wrong(f"{invalid}") from None
    if len(form.files.get("image", [])) != 1:
        raise _wrong("image")
    number = secrets.randbelow(10**12) + 10**12
    works.start(exchange, job_id=f"picture-{number}")
    return _fine({"img_id": number, "img_url": f"{exchange.public}/pixverse/{number}.png"})


def _submit(work: str, *pictures: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept a video, or give the one that this request was answered with before."""
        trace = exchange.request.headers["ai-trace-id"]
        job = exchange.desk.jobs.find_by_alias(trace)
        if job is None:
            seconds = _checked(exchange, pictures)
            number = f"{secrets.randbelow(10**12) + 10**12}"
            job = works.start(exchange, "mp4", seconds=seconds, job_id=number, alias=trace)
        return _fine({"video_id": int(job.id)})

    return Route("POST", f"/openapi/v2/video/{work}/generate", Kind.SUBMIT, serve)


def _checked(exchange: Exchange, pictures: tuple[str, ...]) -> int:
    body = exchange.body
    if body is None or not isinstance(body.get("prompt"), str):
        raise _wrong("prompt")
    _check_choices(body)
    for name in pictures:
        if exchange.desk.jobs.find(f"picture-{body.get(name)}") is None:
            raise _wrong(name)
    seconds = body.get("duration")
    if seconds not in {5, 8}:
        raise _wrong("duration")
    assert isinstance(seconds, int), "it is one of two"
    return seconds


def _check_choices(body: Body) -> None:
    for name, among in (("model", MODELS), ("quality", ("360p", "540p", "720p", "1080p"))):
        if body.get(name) not in among:
            raise _wrong(name)


async def result(exchange: Exchange) -> Answer:
    """Tell where a video stands."""
    job = exchange.find_job(exchange.request.match_info["id"])
    if job is None:
        raise _wrong("video_id")
    told: dict[str, object] = {"id": int(job.id), "status": WORDS[job.ending], "url": ""}
    if job.ending == "done":
        told["url"] = works.addresses(exchange, "pixverse", job)[0]
    return _fine(told)


PIXVERSE = Vendor(
    name="pixverse",
    credential=_credential,
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL | OF_WORDS,
    ids=frozenset({"video_id"}),
    routes=(
        Route("POST", "/openapi/v2/image/upload", Kind.FREE, upload),
        _submit("text"),
        _submit("img", "img_id"),
        _submit("transition", "first_frame_img", "last_frame_img"),
        Route("GET", "/openapi/v2/video/result/{id}", Kind.POLL, result),
        works.FILES,
    ),
)
