"""Black Forest Labs: submit, poll an absolute address, download from another.

    POST /v1/<model>          -> {"id", "polling_url", "cost"}; 422 for a body it cannot use
    GET  /v1/get_result?id=   -> {"id", "status", "result", "progress"}
    GET  /delivery/<id>.png   -> the file, for anybody

A cost is in US cents, a JSON number. It is exact for flux-2, each reference image counted as one
megapixel; the rest are what a job of the kind plausibly costs. The video upscaler names a cost only
when the failure `cost` asks for it, as its length is unknown here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.failures import OF_JOB, OF_POLL
from sandbox.media import Media, look, size
from sandbox.vendor import (
    Answer,
    Body,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    anybody,
    delivery,
    in_header,
)

STATUSES = {
    None: "Pending",
    "done": "Ready",
    "moderated": "Request Moderated",
    "content_moderated": "Content Moderated",
    "failed": "Error",
}
MEGAPIXEL = 1024 * 1024
AUTO_SECONDS = 7.0
UPSCALE_SECONDS = 5.0
VIDEO_CENTS_PER_SECOND = {
    ("v2v", "hd"): 58.63,
    ("v2v", "fhd"): 75.79,
    ("", "hd"): 24.31,
    ("", "fhd"): 41.47,
}
USUAL_DETAILS: dict[int, object] = {
    400: "Bad request",
    401: "Invalid authentication credentials",
    402: "Insufficient credits. Please add credits to your account",
    403: "Not authenticated",
    404: "Not Found",
    409: "Conflict",
    422: [{"loc": ["body"], "msg": "Input should be valid", "type": "value_error"}],
    429: "Too many active tasks. Please wait for some of them to finish",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


def refuse(status: int, detail: object) -> Answer:
    """Refuse as this vendor does: a detail, which for a 422 is a list of complaints."""
    return Answer.json({"detail": detail or USUAL_DETAILS[status]}, status=status)


def _complain(field: str, message: str, kind: str) -> RefusedError:
    where = ["body", field] if field else ["body"]
    return RefusedError(422, [{"loc": where, "msg": message, "type": kind}])


def _output_megapixels(body: Body) -> int:
    """Count begun megapixels of output, one at least."""
    width, height = body.get("width"), body.get("height")
    width = width if isinstance(width, int) else 1024
    height = height if isinstance(height, int) else 768
    return max(1, -(-width * height // MEGAPIXEL))


def _references(body: Body) -> int:
    return sum(
        1 for name, value in body.items() if name.startswith("input_image") and value is not None
    )


def _by_megapixel(first: float, further: float) -> Callable[[Body], float | None]:
    """Cost so much for the first megapixel, and so much for each further or reference one."""
    return lambda body: first + further * (_output_megapixels(body) - 1 + _references(body))


def _flat(cents: float) -> Callable[[Body], float | None]:
    return lambda _: cents


def _video_seconds(body: Body) -> float:
    duration = body.get("duration", "auto")
    return float(duration) if isinstance(duration, int | float) else AUTO_SECONDS


def _by_second(body: Body) -> float | None:
    mode = "v2v" if body.get("mode") == "v2v" else ""
    resolution = "fhd" if body.get("resolution") == "fhd" else "hd"
    return round(VIDEO_CENTS_PER_SECOND[mode, resolution] * _video_seconds(body), 4)


def _upscaling(body: Body) -> float:
    cents_per_second = 84.8 if body.get("creativity") == 0 else 118.8
    return round(cents_per_second * UPSCALE_SECONDS, 4)


def _picture(body: Body, *, default: tuple[int, int] = (1, 1)) -> Media:
    """Describe the picture that a body asks for; jpeg unless it says png."""
    format_ = body.get("output_format") or "jpeg"
    if format_ not in {"png", "jpeg"}:
        raise _complain("output_format", "Input should be 'jpeg' or 'png'", "enum")
    width, height = size(body, default=default)
    seen = look(body.get("prompt"), body.get("seed"))
    return Media(str(format_), look=seen, width=width, height=height)


@dataclass(frozen=True, slots=True)
class Model:
    """One thing to submit to: what it must be given, what it costs and what it makes."""

    path: str
    required: tuple[str, ...]
    cost: Callable[[Body], float | None]
    makes: Callable[[Body], Media] = _picture
    integers: tuple[str, ...] = ("seed",)

    async def submit(self, exchange: Exchange) -> Answer:
        """Accept a task, or complain about the first thing that is wrong with the body."""
        body = self.checked(exchange.body)
        job = exchange.desk.jobs.start(self.makes(body), failures=exchange.failures)
        url = f"{exchange.here}/bfl/v1/get_result?id={job.id}"
        content: dict[str, object] = {"id": job.id, "polling_url": url}
        cost = self.cost(body)
        if "cost" in exchange.failures:
            cost = exchange.failures["cost"] or cost or _upscaling(body)
        if cost is not None:
            content["cost"] = cost
        return Answer.json(content)

    def checked(self, body: Body | None) -> Body:
        """Give the body back when it can be used."""
        if body is None:
            raise _complain("", "JSON decode error", "json_invalid")
        for name in self.required:
            if body.get(name) is None:
                raise _complain(name, "Field required", "missing")
            if not isinstance(body[name], str):
                raise _complain(name, "Input should be a valid string", "string_type")
        for name in self.integers:
            value = body.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise _complain(name, "Input should be a valid integer", "int_type")
        return body


def _wide_picture(body: Body) -> Media:
    return _picture(body, default=(16, 9))


def _flux_2_picture(body: Body) -> Media:
    return _picture({"width": 1024, "height": 768, **body})


def _video(body: Body) -> Media:
    return Media("mp4", seconds=_video_seconds(body))


def _upscaled_video(_: Body) -> Media:
    return Media("mp4", seconds=UPSCALE_SECONDS)


SIZED = ("seed", "width", "height")
MODELS = (
    Model("/v1/flux-2-max", ("prompt",), _by_megapixel(7.0, 3.0), _flux_2_picture, SIZED),
    Model("/v1/flux-2-pro", ("prompt",), _by_megapixel(3.0, 1.5), _flux_2_picture, SIZED),
    Model("/v1/flux-kontext-max", ("prompt",), _flat(8.0)),
    Model("/v1/flux-kontext-pro", ("prompt",), _flat(4.0)),
    Model("/v1/flux-pro-1.0-canny", ("prompt", "control_image"), _flat(5.0)),
    Model("/v1/flux-pro-1.0-depth", ("prompt", "control_image"), _flat(5.0)),
    Model("/v1/flux-pro-1.0-expand", ("image",), _flat(5.0)),
    Model("/v1/flux-pro-1.0-fill", ("image",), _flat(5.0)),
    Model("/v1/flux-pro-1.1", ("prompt",), _flat(4.0)),
    Model("/v1/flux-pro-1.1-ultra", ("prompt",), _flat(6.0), _wide_picture),
    Model("/v1/flux-3-video", ("prompt",), _by_second, _video),
    Model("/v1/flux-tools/erase-v1", ("image", "mask"), _flat(3.0)),
    Model("/v1/flux-tools/vto-v1", ("person", "garment"), _flat(3.75)),
    Model("/v1/flux-tools/video-upscale-v1", ("input_video",), lambda _: None, _upscaled_video),
)


async def get_result(exchange: Exchange) -> Answer:
    """Tell where a task stands; an unknown one is a 404 with a status of its own."""
    job_id = exchange.request.query.get("id", "")
    if not job_id:
        complaint = {"loc": ["query", "id"], "msg": "Field required", "type": "missing"}
        raise RefusedError(422, [complaint])
    job = exchange.find_job(job_id)
    content: dict[str, object] = {"id": job_id, "status": "Task not found", "result": None}
    if job is None:
        content |= {"detail": "Task not found", "progress": None}
        return Answer.json(content, status=404)
    ending = job.ending
    content |= {"status": STATUSES[ending], "progress": round(job.progress, 3)}
    if ending == "done":
        url = f"{exchange.public}/bfl/delivery/{job_id}.{job.makes[0].format}"
        content["result"] = {"sample": url}
    elif ending in {"moderated", "content_moderated"}:
        content["details"] = {"Moderation Reasons": ["Safety Filter"]}
    return Answer.json(content)


async def deliver(exchange: Exchange) -> Answer:
    """Hand over what a finished task made; anything else is not found."""
    job_id, _, ending = exchange.request.match_info["name"].partition(".")
    job = exchange.desk.jobs.find(job_id)
    if job is None or job.ending != "done" or ending != job.makes[0].format:
        raise RefusedError(404)
    return await delivery(job.makes[0])


BFL = Vendor(
    name="bfl",
    credential=in_header("x-key", refused=403),
    refuse=refuse,
    failures=OF_JOB | OF_POLL - {"poll_inside"},
    routes=(
        *(Route("POST", model.path, Kind.SUBMIT, model.submit) for model in MODELS),
        Route("GET", "/v1/get_result", Kind.POLL, get_result),
        Route("GET", "/delivery/{name}", Kind.DOWNLOAD, deliver, credential=anybody),
    ),
)
