"""Topaz: a picture by a form, a video in steps.

    POST /image/v1/enhance-gen/async     -> {"process_id"}
    GET  /image/v1/status/<id>           -> {"process_id", "status", "progress", "credits"}
    GET  /image/v1/download/<id>         -> {"download_url", "expiry"}; 409 while there is nothing
    POST /video/                         -> {"requestId", "estimates"}, for nothing
    PATCH /video/<id>/accept             -> 202 {"uploadId", "urls"}; the credits are set aside
    PUT  /upload/<id>/1                  -> an ETag, for anybody
    PATCH /video/<id>/complete-upload    {"uploadResults": [{"partNum", "eTag"}]} -> 202
    GET  /video/<id>/status              -> {"status", "estimates", "progress", "download"}

The sandbox works from the moment that a video is accepted, whether its file came or not.
"""

import hashlib
import math
import time
import uuid
from collections.abc import Mapping

from sandbox import pictures, works
from sandbox.failures import OF_JOB, OF_POLL, OF_RESULT, OF_WORDS, Failures
from sandbox.jobs import Job
from sandbox.media import Media, look
from sandbox.vendor import (
    Answer,
    Body,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    anybody,
    in_header,
)

MODELS = ("Reimagine", "Bloom 2", "Wonder 3.5")
FILTERS = ("ast-2", "slf-1", "slc-1", "slp-2.5", "apo-8")
CREDITS = {"Reimagine": 4, "Bloom 2": 4, "Wonder 3.5": 1}
PICTURE_WORDS = {None: "Processing", "done": "Completed"}
FILM_WORDS = {None: "processing", "done": "complete"}
PART_BYTES = 300_000_000
"""Of a film: a larger one is put in parts."""
CREDITS_A_FRAME = 0.025
SAYS = {
    402: "Insufficient credits",
    412: "No active API subscription",
    425: "Too early, please wait",
}
ENDED = {"moderated": "Blocked by the safety filter", "content_moderated": "NSFW content"}


def _in_its_words(code: int | None) -> RefusedError:
    return RefusedError(code if code in {**works.USUAL, **SAYS} else 402)


async def enhance(exchange: Exchange) -> Answer:
    """Take a picture by its address."""
    form = pictures.form(exchange)
    body = pictures.fields(form)
    works.given(body, "source_url", "image", form=form)
    model = f"{works.one_of(body, 'model', MODELS)}"
    pixels = 1
    for name in ("output_width", "output_height"):
        pixels *= pictures.number(body, name, least=1, most=32000, default=2048)
    took = CREDITS[model] * math.ceil(pixels / 8e6)
    job = works.start(exchange, "png", credits=took)
    return Answer.json({"process_id": job.id, "eta": int(time.time())})


async def picture_status(exchange: Exchange) -> Answer:
    """Tell where a picture stands."""
    job = works.find(exchange)
    told = job.failures.get("cost")
    status = PICTURE_WORDS.get(job.ending, "Failed")
    return Answer.json(
        {
            "process_id": job.id,
            "status": status,
            "progress": round(job.progress * 100),
            "credits": job.facts["credits"] if told is None else told,
            "message": ENDED.get(job.ending or "", ""),
        }
    )


async def download(exchange: Exchange) -> Answer:
    """Tell where a picture lies."""
    job = works.find(exchange)
    if job.ending != "done":
        raise RefusedError(409)
    address = works.addresses(exchange, "topaz", job)[0]
    return Answer.json({"download_url": address, "expiry": int(time.time()) + 3600})


async def create(exchange: Exchange) -> Answer:
    """Estimate a film; nothing is taken yet."""
    body = works.asked(exchange)
    filters = body.get("filters")
    if not isinstance(filters, list) or not filters:
        raise RefusedError(400, "filters is required")
    for one in filters:
        works.one_of(one if isinstance(one, Mapping) else {}, "model", FILTERS)
    frames = works.at(body, "source.frameCount")
    if not isinstance(frames, int) or frames < 1:
        raise RefusedError(400, "source.frameCount is required")
    least = math.ceil(frames * CREDITS_A_FRAME)
    size = works.at(body, "source.size")
    parts = math.ceil(size / PART_BYTES) if isinstance(size, int) and size > 0 else 1
    facts = {"cost": [least, least + 1], "accepted": False, "parts": parts}
    made = exchange.desk.jobs.start(failures={"never": None}, job_id=str(uuid.uuid4()), facts=facts)
    return Answer.json({"requestId": made.id, "estimates": {"cost": facts["cost"], "time": [9, 9]}})


async def accept(exchange: Exchange) -> Answer:
    """Set the credits aside, and tell where the film is put."""
    made = works.find(exchange)
    if made.facts["accepted"]:
        raise RefusedError(400, "This request was accepted before")
    facts = {**made.facts, "accepted": True, "etags": []}
    film = Media("mp4", look=look(made.id), seconds=5)
    job = exchange.desk.jobs.start(film, failures=exchange.failures, job_id=made.id, facts=facts)
    place = f"{exchange.public}/topaz/upload/{job.id}"
    urls = [f"{place}/{part}" for part in range(1, int(f"{made.facts['parts']}") + 1)]
    return Answer.json({"uploadId": uuid.uuid4().hex, "urls": urls}, status=202)


async def cancel(exchange: Exchange) -> Answer:
    """Give back what was set aside: nothing was put yet."""
    made = works.find(exchange)
    facts = {**made.facts, "accepted": False, "cancelled": True}
    never: Failures = {"never": None}
    exchange.desk.jobs.start(failures=never, job_id=made.id, facts=facts)
    return Answer.json({"message": "The request was cancelled"})


async def upload(exchange: Exchange) -> Answer:
    """Keep what a film's part is known by."""
    etags = works.find(exchange).facts.get("etags")
    if not isinstance(etags, list):
        raise RefusedError(403)
    etag = f'"{hashlib.md5(exchange.raw, usedforsecurity=False).hexdigest()}"'
    etags.append(etag)
    return Answer(b"", headers={"ETag": etag})


async def complete(exchange: Exchange) -> Answer:
    """See that what was put is what came."""
    etags = works.find(exchange).facts.get("etags")
    given = works.asked(exchange).get("uploadResults")
    if not isinstance(etags, list) or given != [{"partNum": 1, "eTag": each} for each in etags]:
        raise RefusedError(400, "The parts of the upload are others")
    return Answer.json({"message": "Upload completed"}, status=202)


async def film_status(exchange: Exchange) -> Answer:
    """Tell where a film stands, and what it is estimated at."""
    job = works.find(exchange)
    status = FILM_WORDS.get(job.ending, "failed") if job.facts["accepted"] else "requested"
    told: Body = {
        "status": status,
        "progress": round(job.progress * 100),
        "estimates": {"cost": job.facts["cost"]},
        "message": ENDED.get(job.ending or "", ""),
    }
    return Answer.json(told if job.ending != "done" else {**told, "download": _film(exchange, job)})


def _film(exchange: Exchange, job: Job) -> Body:
    return {"url": works.addresses(exchange, "topaz", job)[0], "expiresIn": 86_400_000}


TOPAZ = Vendor(
    name="topaz",
    credential=in_header("x-api-key"),
    refuse=works.refusing(SAYS, lambda _, sentence: {"message": sentence}),
    in_its_words=_in_its_words,
    failures=OF_JOB | OF_POLL | OF_RESULT | OF_WORDS,
    ids=frozenset({"process_id", "requestId"}),
    routes=(
        Route("POST", "/image/v1/enhance-gen/async", Kind.SUBMIT, enhance),
        Route("GET", "/image/v1/status/{id}", Kind.POLL, picture_status),
        Route("GET", "/image/v1/download/{id}", Kind.RESULT, download),
        Route("POST", "/video/", Kind.FREE, create),
        Route("PATCH", "/video/{id}/accept", Kind.SUBMIT, accept),
        Route("DELETE", "/video/{id}", Kind.FREE, cancel),
        Route("PUT", "/upload/{id}/1", Kind.FREE, upload, anybody),
        Route("PATCH", "/video/{id}/complete-upload", Kind.FREE, complete),
        Route("GET", "/video/{id}/status", Kind.POLL, film_status),
        works.FILES,
    ),
)
