"""Hyper3D Rodin: a form with pictures in, a model out, and a POST for every question.

    POST /api/v2/rodin     form: images (1 to 5) or prompt, tier, ...
                           -> 201 {"message", "uuid", "jobs": {"uuids", "subscription_key"}}
    POST /api/v2/status    {"subscription_key"} -> 201 {"jobs": [{"uuid", "status"}]}
    POST /api/v2/download  {"task_uuid"}        -> 201 {"list": [{"name", "url"}]}
    GET  /files/...        -> the file, for anybody, as long as its link lives

A task has two names: the status wants the long key, the download the uuid. It is several jobs that
are done one after the other, and a download that comes early lists what is there by then. A link
dies after ten minutes, and asking again gives a new one. Whatever is wrong stands in `error`, also
under `inside` in a 201; an answer without a mistake has no `error`. Of its words the vendor tells
only INSUFFICIENT_FUND; the others here are made up in its style.
"""

import asyncio
import hashlib
import io
import secrets
import time
import uuid

from PIL import Image

from sandbox import forms
from sandbox.failures import OF_JOB, OF_POLL, OF_RESULT, OF_WORDS
from sandbox.jobs import Job
from sandbox.media import Media, look
from sandbox.vendor import (
    Answer,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    anybody,
    delivery,
    in_header,
)

MOST_IMAGES = 5
LARGEST_IMAGE = 16 * 1024 * 1024
CHOICES = {
    "tier": (
        "Regular",
        "Detail",
        "Smooth",
        "Sketch",
        "Gen-2",
        "Gen-2.5-Extreme-Low",
        "Gen-2.5-Low",
        "Gen-2.5-Medium",
        "Gen-2.5-High",
        "Gen-2.5-Extreme-High",
    ),
    "material": ("PBR", "Shaded", "All", "Hybrid", "None"),
    "mesh_mode": ("Quad", "Raw"),
    "quality": ("medium", "high", "low", "extra-low"),
    "condition_mode": ("concat", "fuse"),
    "geometry_file_format": ("glb",),  # The vendor has more; this is what is drawn here.
}
NUMBERS = {"seed": (0, 65535), "quality_override": (500, 2_000_000)}
JOBS = 3  # Geometry, texture, preview.
ENDINGS = {
    "done": "Done",
    "failed": "Failed",
    "moderated": "Canceled",
    "content_moderated": "Failed",
}
WORDS = {
    400: ("INVALID_REQUEST", "The request cannot be used"),
    401: ("UNAUTHORIZED", "Not authenticated"),
    402: ("INSUFFICIENT_FUND", "Insufficient fund, please top up your account"),
    403: ("FORBIDDEN", "The API is for business subscribers"),
    404: ("NOT_FOUND", "There is no such thing"),
    409: ("CONFLICT", "The request is in conflict with another"),
    422: ("INVALID_REQUEST", "The request cannot be used"),
    429: ("TOO_MANY_REQUESTS", "Too many requests, slow down"),
    500: ("INTERNAL_ERROR", "Something went wrong"),
    502: ("BAD_GATEWAY", "Something went wrong"),
    503: ("SERVICE_UNAVAILABLE", "The server is busy"),
    504: ("TIMEOUT", "Something took too long"),
}


def refuse(status: int, detail: object) -> Answer:
    """Refuse with a word and a sentence."""
    word, said = WORDS[status]
    return Answer.json({"error": word, "message": detail or said}, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    """Refuse by what belongs to a status; out of credit where none is named."""
    return RefusedError(code if code in WORDS else 402)


async def submit(exchange: Exchange) -> Answer:
    """Accept a task, or complain about the first thing that is wrong with the form."""
    try:
        form = forms.read(exchange.request.headers.get("content-type", ""), exchange.raw)
        asked = _asked(form)
    except forms.InvalidFormError as invalid:
        raise RefusedError(400, f"The form cannot be read: {invalid}") from None
    images = form.files.get("images", [])
    await asyncio.to_thread(_check_images, images)
    prompt = asked.get("prompt", "")
    if not images and not prompt:
        raise RefusedError(400, "Send images or a prompt")
    shown = [hashlib.sha256(image.content).hexdigest() for image in images]
    seen = look(prompt, asked.get("seed"), shown)
    job = exchange.desk.jobs.start(
        Media("glb", look=seen),
        Media("webp", look=seen),
        failures=exchange.failures,
        alias=secrets.token_urlsafe(240),  # As long as the vendor's own, which is a signed token.
        facts={
            "jobs": [str(uuid.uuid4()) for _ in range(JOBS)],
            "name": "base_basic_pbr" if asked["material"] == "PBR" else "base_basic_shaded",
        },
    )
    names = {"uuids": job.facts["jobs"], "subscription_key": job.alias}
    return Answer.json({"message": "Submitted.", "uuid": job.id, "jobs": names}, status=201)


def _asked(form: forms.Form) -> dict[str, str]:
    """Read the fields, each with its usual value where it is missing."""
    asked = {name: form.value(name) or values[0] for name, values in CHOICES.items()}
    for name, values in CHOICES.items():
        if asked[name] not in values:
            raise RefusedError(400, f"{name} must be one of {', '.join(values)}")
    for name, (least, most) in NUMBERS.items():
        value = form.value(name)
        if value is None:
            continue
        if not value.isascii() or not value.isdecimal() or not least <= int(value[:9]) <= most:
            raise RefusedError(400, f"{name} must be a number from {least} to {most}")
        asked[name] = value
    if any(addon.strip('[]"') != "HighPack" for addon in form.fields.get("addons", [])):
        raise RefusedError(400, "addons must be HighPack")
    return asked | {"prompt": form.value("prompt") or ""}


def _check_images(images: list[forms.File]) -> None:
    """See that each is a picture, to its last byte."""
    if len(images) > MOST_IMAGES:
        raise RefusedError(400, f"At most {MOST_IMAGES} images")
    for number, image in enumerate(images):
        if len(image.content) > LARGEST_IMAGE:
            raise RefusedError(400, f"images[{number}] is larger than 16 MB")
        try:
            Image.open(io.BytesIO(image.content)).verify()  # Its checksums and its end.
            Image.open(io.BytesIO(image.content)).load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            raise RefusedError(400, f"images[{number}] is not a picture") from None


def _named(exchange: Exchange, name: str) -> str:
    value = (exchange.body or {}).get(name)
    if not isinstance(value, str) or not value:
        raise RefusedError(400, f"{name} is needed")
    return value


async def status(exchange: Exchange) -> Answer:
    """Tell where each job of a task stands."""
    key = _named(exchange, "subscription_key")
    job = exchange.heed(exchange.desk.jobs.find_by_alias(key))
    if job is None:
        raise RefusedError(404, "There is no task with this subscription key")
    uuids = job.facts["jobs"]
    assert isinstance(uuids, list), "a task is several jobs"
    words = _words(job, len(uuids))
    told = [{"uuid": each, "status": word} for each, word in zip(uuids, words, strict=True)]
    return Answer.json({"jobs": told}, status=201)


def _words(job: Job, count: int) -> list[str]:
    """Let the jobs be done one after the other; where a task ends badly, its last one does."""
    ending = job.ending
    if ending is not None:
        return ["Done"] * (count - 1) + [ENDINGS[ending]]
    done = int(job.progress * count)
    return (["Done"] * done + ["Generating"] + ["Waiting"] * count)[:count]


async def download(exchange: Exchange) -> Answer:
    """List the files of a task with links that live for a while; early, what is there by then."""
    job = exchange.find_job(_named(exchange, "task_uuid"))
    if job is None:
        raise RefusedError(404, "There is no task with this uuid")
    listed = [{"name": name, "url": _link(exchange, job, name)} for name in _files(job)]
    return Answer.json({"list": listed}, status=201)


def _files(job: Job) -> dict[str, Media]:
    model, preview = job.makes
    there = {"preview.webp": preview} if job.progress * JOBS >= 1 else {}
    if job.ending == "done":
        there = {f"{job.facts['name']}.glb": model, **there}
    return there


def _link(exchange: Exchange, job: Job, name: str) -> str:
    path = f"/rodin/files/{job.id}/{name}"
    until = f"{time.time() + exchange.desk.settings.link_seconds:.3f}"
    seal = exchange.desk.seal(f"{path}?{until}")
    return f"{exchange.public}{path}?Expires={until}&Signature={seal}"


async def files(exchange: Exchange) -> Answer:
    """Hand over a file while the link lives; a dead or altered one is forbidden, as at a store."""
    request = exchange.request
    until, seal = request.query.get("Expires", ""), request.query.get("Signature", "")
    if not exchange.desk.is_sealed(f"{request.path}?{until}", seal) or float(until) < time.time():
        denied = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        return Answer(denied, status=403, content_type="application/xml")
    job = exchange.desk.jobs.find(request.match_info["uuid"])
    made = None if job is None else _files(job).get(request.match_info["name"])
    if made is None:
        raise RefusedError(404)
    return await delivery(made)


RODIN = Vendor(
    name="rodin",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    in_its_words=_in_its_words,
    inside_status=201,
    failures=OF_JOB - {"cost"} | OF_POLL | OF_RESULT | OF_WORDS,
    ids=frozenset({"uuid", "uuids", "subscription_key"}),
    routes=(
        Route("POST", "/api/v2/rodin", Kind.SUBMIT, submit),
        Route("POST", "/api/v2/status", Kind.POLL, status),
        Route("POST", "/api/v2/download", Kind.RESULT, download),
        Route("GET", "/files/{uuid}/{name}", Kind.DOWNLOAD, files, anybody),
    ),
)
