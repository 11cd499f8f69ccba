"""HitPaw: two submits and a poll, all POSTs; success is {"code": 200, "message", "data"}.

    POST /api/photo-enhancer  {"model_name", "img_url", ...}                -> job_id, consume_coins
    POST /api/video-enhancer  {"model_name", "video_url", "resolution", ..} -> the same
    POST /api/task-status     {"job_id"}                                    -> status, res_url
    POST /api/oss/presign-put {"filename", "content_type"}  -> code 0: upload_url, access_url

An error is {"error_code", "message"}, and its code holds its status; a key that is not known is a
400, a job that failed may be one. Under `inside` an error is a 200.
"""

import time

from aiohttp import web

from sandbox import stores, works
from sandbox.failures import OF_JOB, OF_POLL, OF_STORED, OF_WORDS
from sandbox.far_side import Desk
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

CODES = {
    400: 110400007,
    401: 110401000,
    402: 110402001,
    403: 110403000,
    404: 110404000,
    409: 110400008,
    422: 110400009,
    429: 100429000,
    500: 110500000,
    502: 110502000,
    503: 110503000,
    504: 110504000,
}
UNKNOWN_KEY = (110400000, "Invalid API key")
FAILED = (110400003, "The task failed")
WORDS = {None: "RUNNING", "done": "COMPLETED", "moderated": "ERROR", "content_moderated": "ERROR"}
SECONDS = 5
PICTURES = {"generative_portrait": 20, "generative": 50}
"""Coins."""
VIDEOS = {
    "portrait_restore_1x": 60,
    "portrait_restore_2x": 60,
    "general_restore_1x": 60,
    "general_restore_2x": 60,
    "general_restore_4x": 60,
    "ultrahd_restore_2x": 120,
    "generative_1x": 90,
}
"""Coins a second."""
STORED = {
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/webp": (".webp",),
    "video/mp4": (".mp4",),
    "video/webm": (".webm",),
    "video/quicktime": (".mov",),
}
_key = in_header("apikey", refused=400)


def _credential(desk: Desk, request: web.Request) -> RefusedError | None:
    return RefusedError(400, UNKNOWN_KEY) if _key(desk, request) else None


def refuse(status: int, detail: object) -> Answer:
    """Refuse by a code."""
    code, said = detail if isinstance(detail, tuple) else (CODES.get(status, 110500000), detail)
    told = {"error_code": code, "message": f"{said or works.USUAL.get(status, 'Error')}"}
    return Answer.json(told, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    for status, own in CODES.items():
        if code in (status, own):
            return RefusedError(status)
    return RefusedError(402)


def _taken(exchange: Exchange, format_: str, coins: int, seconds: int = 0) -> Answer:
    job = works.start(exchange, format_, seconds=seconds)
    told = exchange.failures.get("cost")
    data = {"job_id": job.id, "consume_coins": coins if told is None else told}
    return Answer.json({"code": 200, "message": "ok", "data": data})


async def photo(exchange: Exchange) -> Answer:
    """Take a picture."""
    body = works.asked(exchange)
    works.address(body, "img_url")
    names = [f"{model}_{factor}x" for model in PICTURES for factor in (1, 2, 4)]
    model = f"{works.one_of(body, 'model_name', names)}"
    return _taken(exchange, "png", PICTURES[model[:-3]])


async def video(exchange: Exchange) -> Answer:
    """Take a video, and the size that it shall have."""
    body = works.asked(exchange)
    works.address(body, "video_url")
    model = f"{works.one_of(body, 'model_name', VIDEOS)}"
    for name in ("resolution", "original_resolution"):
        sides = body.get(name)
        if not isinstance(sides, list) or [type(side) for side in sides] != [int, int]:
            raise RefusedError(400, f"{name} must be two numbers")
    return _taken(exchange, "mp4", VIDEOS[model] * SECONDS, SECONDS)


async def status(exchange: Exchange) -> Answer:
    """Tell where a job stands."""
    body = works.asked(exchange)
    job = exchange.find_job(works.text(body, "job_id"))
    if job is None:
        raise RefusedError(404)
    if job.ending == "failed":
        raise RefusedError(400, FAILED)
    done = job.ending == "done"
    data = {
        "job_id": job.id,
        "status": WORDS[job.ending],
        "res_url": works.addresses(exchange, "hitpaw", job)[0] if done else "",
    }
    said = "NSFW content" if job.ending in ("moderated", "content_moderated") else "ok"
    return Answer.json({"code": 200, "message": said, "data": data})


async def presign(exchange: Exchange) -> Answer:
    """Offer a place for a file; the code of success is another here."""
    body = works.asked(exchange)
    kind = f"{works.one_of(body, 'content_type', STORED)}"
    if not works.text(body, "filename").endswith(STORED[kind]):
        raise RefusedError(400, "The extension is not supported")
    url, name = stores.offer(exchange, "hitpaw", content_type=kind)
    data = {"upload_url": url, "access_url": name, "object_key": name, "content_type": kind}
    return Answer.json({"code": 0, "data": {**data, "expire_at": int(time.time()) + 3600}})


HITPAW = Vendor(
    name="hitpaw",
    credential=_credential,
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB | OF_POLL | OF_WORDS | OF_STORED,
    ids=frozenset({"job_id"}),
    routes=(
        Route("POST", "/api/photo-enhancer", Kind.SUBMIT, photo),
        Route("POST", "/api/video-enhancer", Kind.SUBMIT, video),
        Route("POST", "/api/task-status", Kind.POLL, status),
        Route("POST", "/api/oss/presign-put", Kind.UPLOAD, presign),
        stores.PUT,
        works.FILES,
    ),
)
