"""Vidu: six submits, one poll, a credential with a word of its own.

    POST /ent/v2/<work>                -> {"task_id", "state", "created_at", "credits", ...}
    GET  /ent/v2/tasks/<id>/creations  -> {"state", "err_code", "credits", "creations"}

An error is {"code", "reason", "message", "metadata"}.
"""

from datetime import UTC, datetime

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL, OF_WORDS
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

Q1, Q2 = ("viduq1",), ("viduq2",)
Q2_FILMS = ("viduq2-pro", "viduq2-pro-fast", "viduq2-turbo")
Q3 = ("viduq3-pro", "viduq3-turbo")
MODELS = {
    "text2video": (*Q1, *Q2, *Q3),
    "img2video": (*Q1, *Q2_FILMS, *Q3),
    "start-end2video": (*Q1, *Q2_FILMS, *Q3),
    "reference2video": (*Q1, *Q2),
    "extend": ("viduq2-pro", "viduq2-turbo"),
    "multiframe": ("viduq2-pro", "viduq2-turbo"),
}
PICTURES = {"img2video": (1, 1), "start-end2video": (2, 2), "reference2video": (1, 7)}
CREDITS = 20
REASONS = {
    400: "FieldInvalid",
    401: "Unauthorized",
    402: "CreditInsufficient",
    403: "PermissionDenied",
    404: "TaskNotFound",
    422: "FieldInvalid",
    429: "SystemThrottling",
}
WORDS = {None: "processing", "done": "success"}
ENDS = {
    "failed": "CreationFailed",
    "moderated": "CreationPolicyViolation",
    "content_moderated": "CreationPolicyViolation",
}


def refuse(status: int, detail: object) -> Answer:
    """Refuse with a reason and a sentence."""
    reason, said = detail if isinstance(detail, tuple) else (REASONS.get(status), detail)
    told: dict[str, object] = {
        "code": status,
        "reason": reason or "InternalError",
        "message": f"{said or works.USUAL[status]}",
        "metadata": {},
    }
    return Answer.json(told, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    """Refuse for the prompt (422), or for what the account lacks, which is a 400."""
    if code == 422:
        return RefusedError(400, ("TaskPromptPolicyViolation", "The prompt is not allowed"))
    return RefusedError(400, ("CreditInsufficient", "Top up, please"))


def _submit(work: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept a task."""
        body = works.asked(exchange)
        works.one_of(body, "model", MODELS[work])
        works.one_of(body, "resolution", ("540p", "720p", "1080p", "2K"), default="720p")
        seconds = _checked(body, work)
        job = works.start(exchange, "mp4", "png", seconds=float(seconds))
        told: dict[str, object] = {
            "task_id": job.id,
            "state": "created",
            "model": body["model"],
            "credits": CREDITS,
            "created_at": datetime.fromtimestamp(job.created_at, UTC).isoformat(),
        }
        return Answer.json(told)

    return Route("POST", f"/ent/v2/{work}", Kind.SUBMIT, serve)


def _checked(body: Body, work: str) -> int:
    """See that there is what a work is made from; return its seconds."""
    if work in PICTURES:
        least, most = PICTURES[work]
        pictures = body.get("images") or body.get("subjects")
        if not isinstance(pictures, list) or not least <= len(pictures) <= most:
            raise RefusedError(400, f"images must be {least} to {most}")
    if work == "extend":
        works.address(body, "video_url")
    if work == "multiframe":
        works.address(body, "start_image")
        frames = body.get("image_settings")
        if not isinstance(frames, list) or not frames:
            raise RefusedError(400, "image_settings are required")
    duration = body.get("duration", 5)
    if isinstance(duration, bool) or not isinstance(duration, int) or not 1 <= duration <= 16:
        raise RefusedError(400, "duration is not possible")
    return duration


async def creations(exchange: Exchange) -> Answer:
    """Tell where a task stands."""
    job = works.find(exchange)
    ending = job.ending
    told: dict[str, object] = {
        "id": job.id,
        "state": WORDS.get(ending, "failed"),
        "err_code": ENDS.get(ending or "", ""),
        "credits": CREDITS,
        "creations": [],
    }
    if ending == "done":
        film, cover = works.addresses(exchange, "vidu", job)
        told["creations"] = [{"id": f"c-{job.id}", "url": film, "cover_url": cover}]
    return Answer.json(told)


VIDU = Vendor(
    name="vidu",
    credential=in_header("authorization", prefix="Token "),
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"} | OF_WORDS,
    ids=frozenset({"task_id"}),
    routes=(
        *(_submit(work) for work in MODELS),
        Route("GET", "/ent/v2/tasks/{id}/creations", Kind.POLL, creations),
        works.FILES,
    ),
)
