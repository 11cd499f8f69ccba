"""Pika: forms in, of pictures and videos, or urlencoded where there is none; one poll.

POST /generate/2.2/t2v, .../i2v, .../pikascenes, .../pikaframes -> {"video_id"}
POST /generate/pikadditions, .../pikaswaps, .../pikaffects      -> {"video_id"}
GET  /videos/<id> -> {"id", "status", "progress", "url"}
"""

from urllib.parse import parse_qs

from sandbox import forms, works
from sandbox.failures import OF_JOB, OF_POLL
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

NEEDS = {
    "2.2/t2v": (),
    "2.2/i2v": ("image",),
    "2.2/pikascenes": ("images",),
    "2.2/pikaframes": ("keyFrames",),
    "pikadditions": ("video", "image"),
    "pikaswaps": ("video",),
    "pikaffects": ("image",),
}
WORDS = {None: "started", "done": "finished"}
URLENCODED = "application/x-www-form-urlencoded"


def _form(exchange: Exchange) -> forms.Form:
    kind = exchange.request.headers.get("content-type", "")
    if kind.startswith(URLENCODED):
        return forms.Form(fields=parse_qs(exchange.raw.decode(), strict_parsing=True))
    return forms.read(kind, exchange.raw)


def _submit(work: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept a video."""
        try:
            form = _form(exchange)
            asked = {name: form.value(name) for name in ("duration", "resolution", "promptText")}
        except (forms.InvalidFormError, ValueError) as invalid:
            raise RefusedError(422, f"The form cannot be read: {invalid}") from None
        for name in NEEDS[work]:
            if not form.files.get(name):
                raise RefusedError(422, f"{name} is required")
        if asked["duration"] not in (None, "5", "10"):
            raise RefusedError(422, "duration must be 5 or 10")
        if asked["resolution"] not in (None, "720p", "1080p"):
            raise RefusedError(422, "resolution must be 720p or 1080p")
        job = works.start(exchange, "mp4", seconds=int(asked["duration"] or 5))
        return Answer.json({"video_id": job.id})

    return Route("POST", f"/generate/{work}", Kind.SUBMIT, serve)


async def video(exchange: Exchange) -> Answer:
    """Tell where a video stands."""
    job = works.find(exchange)
    told: dict[str, object] = {
        "id": job.id,
        "status": WORDS.get(job.ending, "failed"),
        "progress": round(100 * job.progress),
        "url": None,
    }
    if job.ending == "done":
        told["url"] = works.addresses(exchange, "pika", job)[0]
    elif job.ending is not None:
        told["error"] = "moderated" if job.ending != "failed" else "it failed"
    return Answer.json(told)


PIKA = Vendor(
    name="pika",
    credential=in_header("x-api-key"),
    refuse=works.refusing({}, lambda _, sentence: {"detail": sentence}),
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"},
    ids=frozenset({"video_id"}),
    routes=(
        *(_submit(work) for work in NEEDS),
        Route("GET", "/videos/{id}", Kind.POLL, video),
        works.FILES,
    ),
)
