"""Bria: edits of pictures and videos, one poll for all.

    POST /v2/image/<edit>, /v2/video/edit/<edit> -> 202 {"request_id", "status_url", "warning"}
    GET  /v2/status/<id>                         -> {"status", "result" | "error"}
    POST /v2/video/upload {"media_type"} -> {"result": {"upload_url", "upload_fields", "file_url"}}

An error is {"error": {"code", "message", "details"}, "request_id"}; `code=460` is an input that
cannot be fetched, `code=506` one that is not supported. A field that an edit does not know is
refused; a job that failed is a 200.
"""

import uuid

from sandbox import stores, works
from sandbox.failures import OF_JOB, OF_POLL, OF_STORED, OF_WORDS
from sandbox.vendor import Answer, Exchange, Kind, RefusedError, Route, Vendor, in_header

VIDEO_SECONDS = 5
MODERATION = ("visual_input_content_moderation", "visual_output_content_moderation")
PROMPTED = ("prompt_content_moderation", *MODERATION)
FILM = ("video", "output_container_and_codec", "preserve_audio", *MODERATION)
KNOWN = {
    "image/edit": (
        "images", "mask", "instruction", "structured_instruction", "negative_prompt", "ip_signal",
        "guidance_scale", "model_version", "steps_num", "seed", "sync", *PROMPTED,
    ),
    "image/edit/erase": ("image", "mask", "mask_type", "sync", *MODERATION),
    "image/edit/expand": (
        "image", "aspect_ratio", "canvas_size", "original_image_size", "original_image_location",
        "prompt", "negative_prompt", "seed", "sync", *PROMPTED,
    ),
    "image/edit/gen_fill": (
        "image", "mask", "prompt", "negative_prompt", "refine_prompt", "seed", "sync", *PROMPTED,
    ),
    "image/edit/increase_resolution": ("image", "desired_increase", "sync", *MODERATION),
    "image/edit/remove_background": ("image", "sync", *MODERATION),
    "video/edit/green_screen": ("green_shade", *FILM),
    "video/edit/remove_background": ("background_color", *FILM),
    "video/edit/replace_background": ("background_url", *FILM),
}  # fmt: skip
WORDS = {None: "IN_PROGRESS", "done": "COMPLETED", "failed": "UNKNOWN"}
SAID = {460: "Failed to fetch the input", 506: "The input is not supported"}


def refuse(status: int, detail: object) -> Answer:
    """Refuse with a code, which is the status, and a sentence."""
    said = f"{detail or SAID.get(status) or works.USUAL[status]}"
    error = {"code": status, "message": said, "details": said}
    return Answer.json({"error": error, "request_id": uuid.uuid4().hex}, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    return RefusedError(code if code in SAID else 402)


def _submit(path: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept an edit."""
        body = works.asked(exchange)
        works.only(body, KNOWN[path], wrong=422)
        if body.get("sync"):
            raise RefusedError(400, "The sandbox answers nothing at once")
        if path.startswith("video"):
            works.address(body, "video")
            job = works.start(exchange, "mp4", seconds=VIDEO_SECONDS)
        else:
            pictures = body.get("images") if path == "image/edit" else [body.get("image")]
            if not isinstance(pictures, list) or len(pictures) != 1 or not pictures[0]:
                raise RefusedError(422, "exactly one image is required")
            job = works.start(exchange, "png")
        told = {
            "request_id": job.id,
            "status_url": f"{exchange.here}/bria/v2/status/{job.id}",
            "warning": None,
        }
        return Answer.json(told, status=202)

    return Route("POST", f"/v2/{path}", Kind.SUBMIT, serve)


async def status(exchange: Exchange) -> Answer:
    """Tell where a request stands."""
    job = works.find(exchange)
    told: dict[str, object] = {
        "request_id": job.id,
        "status": WORDS.get(job.ending, "ERROR"),
    }
    if job.ending == "done":
        (url,) = works.addresses(exchange, "bria", job)
        kind = "video_url" if job.makes[0].format == "mp4" else "image_url"
        told["result"] = {kind: url, "structured_prompt": "{}"}
    elif job.ending is not None:
        blocked = job.ending != "failed"
        word = "CONTENT_MODERATION" if blocked else "INTERNAL_ERROR"
        told["error"] = {"code": word, "message": "It failed", "details": ""}
    return Answer.json(told)


async def upload(exchange: Exchange) -> Answer:
    """Offer a place for a video, which takes a form that begins with these fields."""
    kind = works.text(works.asked(exchange, wrong=422), "media_type", wrong=422)
    if not kind.startswith("video/"):
        raise RefusedError(422, "media_type must be a video's")
    fields = {"key": uuid.uuid4().hex, "policy": "eyJ9", "signature": uuid.uuid4().hex}
    url, name = stores.offer(exchange, "bria", content_type=kind, fields=fields)
    told = {"upload_url": url, "upload_fields": fields, "file_url": name}
    return Answer.json({"result": told, "request_id": uuid.uuid4().hex})


BRIA = Vendor(
    name="bria",
    credential=in_header("api_token"),
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"} | OF_WORDS | OF_STORED,
    ids=frozenset({"request_id"}),
    routes=(
        *(_submit(path) for path in KNOWN),
        Route("GET", "/v2/status/{id}", Kind.POLL, status),
        Route("POST", "/v2/video/upload", Kind.UPLOAD, upload),
        stores.POST,
        works.FILES,
    ),
)
