"""Runway: three submits, one poll, an error that is a sentence.

    POST   /v1/image_to_video, /v1/text_to_image, /v1/video_to_video -> {"id", "estimatedCost"}
    GET    /v1/tasks/<id>  -> {"id", "status", "createdAt", "output", "cost" | "failure"}

Every request must name the version of the API. Inputs are https addresses of a host with a name, or
data URIs. A task that ended says what it cost in credits; one that failed cost none.
"""

import re
from datetime import UTC, datetime

from aiohttp import web

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.far_side import Desk
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

VERSION = "2024-11-06"
EDIT_SECONDS = 5
INPUT = re.compile(
    r"https://(?!\d+\.\d+\.\d+\.\d+)[\w.-]+\.[a-z]+(:\d+)?/\S+|data:\S+;base64,\S+"
    r"|https?://(localhost|127\.0\.0\.1):\d+/\S+"  # Of who tries it all on one machine.
)
WORDS = {
    None: "RUNNING",
    "done": "SUCCEEDED",
    "failed": "FAILED",
    "moderated": "FAILED",
    "content_moderated": "FAILED",
}
CODES = {
    "failed": "INTERNAL.BAD_OUTPUT.CODE01",
    "moderated": "SAFETY.INPUT.TEXT",
    "content_moderated": "SAFETY.OUTPUT.VIDEO",
}
RATIOS = {
    "image_to_video": ("1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672"),
    "text_to_image": ("1920:1080", "1080:1920", "1024:1024", "1360:768", "1280:720", "720:1280"),
}
_key = in_header("authorization", prefix="Bearer ")


def _credential(desk: Desk, request: web.Request) -> RefusedError | None:
    if request.headers.getall("x-runway-version", []) != [VERSION]:
        return RefusedError(400, "This version of the API does not exist")
    return _key(desk, request)


def _input(value: object, name: str) -> None:
    if not isinstance(value, str) or not INPUT.fullmatch(value):
        raise RefusedError(400, f"{name} must be an HTTPS URL of a host name, or a data URI")


async def image_to_video(exchange: Exchange) -> Answer:
    """Take one picture, the first, and make a video of it."""
    body = works.asked(exchange)
    works.one_of(body, "model", ("gen4_turbo",))
    works.one_of(body, "ratio", RATIOS["image_to_video"])
    seconds = works.one_of(body, "duration", range(2, 11), default=5)
    pictures = body.get("promptImage")
    listed = pictures if isinstance(pictures, list) else [{"uri": pictures, "position": "first"}]
    if len(listed) != 1 or works.at(listed[0], "position") != "first":
        raise RefusedError(400, "promptImage takes the position first only")
    _input(works.at(listed[0], "uri"), "promptImage")
    assert isinstance(seconds, int), "it is one of a range"
    return _taken(exchange, "mp4", seconds=seconds, cost=5 * seconds)


async def text_to_image(exchange: Exchange) -> Answer:
    """Draw a picture of a text."""
    body = works.asked(exchange)
    works.one_of(body, "model", ("gen4_image",))
    works.one_of(body, "ratio", RATIOS["text_to_image"])
    works.text(body, "promptText")
    return _taken(exchange, "png", seconds=0, cost=8)


async def video_to_video(exchange: Exchange) -> Answer:
    """Edit a video, guided by pictures at moments of it."""
    body = works.asked(exchange)
    works.one_of(body, "model", ("aleph2",))
    works.only(
        body,
        ("model", "promptText", "videoUri", "seed", "contentModeration", "keyframes",
         "outputFormat"),
    )  # fmt: skip
    _input(body.get("videoUri"), "videoUri")
    frames = body.get("keyframes") or []
    if not isinstance(frames, list) or len(frames) > 5:
        raise RefusedError(400, "keyframes must be at most 5")
    for frame in frames:
        _input(works.at(frame, "uri"), "keyframes.uri")
        if not isinstance(works.at(frame, "seconds"), (int, float)) and not isinstance(
            works.at(frame, "at"), (int, float)
        ):
            raise RefusedError(400, "keyframes need seconds, or at")
    return _taken(exchange, "mp4", seconds=EDIT_SECONDS, cost=28 * EDIT_SECONDS)


def _taken(exchange: Exchange, format_: str, *, seconds: int, cost: int) -> Answer:
    job = works.start(exchange, format_, seconds=seconds, credits=cost)
    return Answer.json({"id": job.id, "estimatedCost": {"credits": cost}})


async def task(exchange: Exchange) -> Answer:
    """Tell where a task stands."""
    job = works.find(exchange)
    ending = job.ending
    told: Body = {
        "id": job.id,
        "status": WORDS[ending],
        "createdAt": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
    }
    if ending is None:
        more: Body = {"progress": job.progress, "estimatedCost": {"credits": job.facts["credits"]}}
    elif ending == "done":
        cost = job.failures.get("cost") or job.facts["credits"]
        more = {"output": works.addresses(exchange, "runway", job), "cost": {"credits": cost}}
    else:
        more = {"failure": "The task failed", "failureCode": CODES[ending], "cost": {"credits": 0}}
    return Answer.json({**told, **more})


RUNWAY = Vendor(
    name="runway",
    credential=_credential,
    refuse=works.refusing(
        {402: "You do not have enough credits to run this task."},
        lambda _, sentence: {"error": sentence},
    ),
    failures=OF_JOB | OF_POLL - {"poll_inside"},
    routes=(
        Route("POST", "/v1/image_to_video", Kind.SUBMIT, image_to_video),
        Route("POST", "/v1/text_to_image", Kind.SUBMIT, text_to_image),
        Route("POST", "/v1/video_to_video", Kind.SUBMIT, video_to_video),
        Route("GET", "/v1/tasks/{id}", Kind.POLL, task),
        works.FILES,
    ),
)
