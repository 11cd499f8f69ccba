"""Kling: thirteen submits, each with its own poll, and every answer in an envelope with a code.

    POST /v1/<work>              -> {"code": 0, "message", "request_id", "data": {"task_id", ...}}
    GET  /v1/<work>/<task_id>    -> the same with "task_result"; the words end in `succeed`
    POST /<work>/kling-3.0-turbo -> {"data": {"id", "status"}}
    GET  /tasks?task_ids=<id>    -> {"data": [{"id", "status", "outputs", "billing"}]}; `succeeded`
    GET  /files/<task_id>/<name> -> the file, for anybody

An error has a code of its own and an HTTP status, and under `inside` the status 200. A task is
known on the path that it was submitted on, by its id or by the caller's own `external_task_id`,
which is unique for the account. The credential is the key as it is, or, on /v1, a JWT that the pair
of key and secret signs.
"""

import secrets
import time
import uuid
from collections.abc import Iterator

from aiohttp import web

from sandbox import tokens
from sandbox.failures import OF_JOB, OF_POLL, OF_WORDS
from sandbox.far_side import Desk
from sandbox.jobs import Job
from sandbox.vendor import (
    Answer,
    Credential,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    anybody,
    delivery,
    in_header,
)
from sandbox.vendors.kling_works import CODES, WORKS, Work, by_code, field, units, video_id, wrong

LONGEST_TOKEN_SECONDS = 30 * 60
SKEW_SECONDS = 5
MOST_ASKED_FOR = 100
USUAL_CODES = {
    400: 1200,
    401: 1000,
    402: 1101,
    403: 1103,
    404: 1203,
    409: 1200,
    422: 1201,
    429: 1302,
    500: 5000,
    502: 5000,
    503: 5001,
    504: 5002,
}
REASONS = {
    "moderated": "Failure to pass the risk control system",
    "content_moderated": "The generated content may violate the community policy",
    "failed": "Internal error, please try again",
}


def refuse(status: int, detail: object) -> Answer:
    """Refuse by the vendor's own code, with its sentence or one of ours."""
    code, said = detail if isinstance(detail, tuple) else (USUAL_CODES[status], detail)
    content = {"code": code, "message": said or CODES[code][1], "request_id": str(uuid.uuid4())}
    return Answer.json(content, status=status)


def _envelope(data: object) -> Answer:
    content = {"code": 0, "message": "SUCCEED", "request_id": str(uuid.uuid4()), "data": data}
    return Answer.json(content)


_plain_key = in_header("authorization", prefix="Bearer ")


def by_key(desk: Desk, request: web.Request) -> RefusedError | None:
    """Admit the key itself, and no token."""
    if request.headers.get("authorization", "") == "":
        return by_code(1001)
    return None if _plain_key(desk, request) is None else by_code(1002)


def by_key_or_pair(desk: Desk, request: web.Request) -> RefusedError | None:
    """Admit the key itself, or a token of the pair that lives at most half an hour."""
    refused = by_key(desk, request)
    shown = request.headers.getall("authorization", [])
    if refused is None or not desk.settings.secret or len(shown) != 1:
        return refused
    scheme, _, written = shown[0].partition(" ")
    if scheme != "Bearer":
        return refused
    try:
        return _judged(tokens.read(written), desk)
    except tokens.InvalidTokenError as invalid:
        return by_code(1002, f"Authorization is invalid: {invalid}")


def _judged(token: tokens.Token, desk: Desk) -> RefusedError | None:
    """Check a token's signature first, then whose it is, then its times."""
    token.check_hmac(desk.settings.secret or "")
    now = time.time()
    begins, ends = token.seconds("nbf"), token.seconds("exp")
    if token.claims.get("iss") != desk.settings.key:
        return by_code(1002, "Authorization is invalid: there is no such access key")
    if ends is None or begins is None:
        return by_code(1002, "Authorization is invalid: exp and nbf are needed")
    if ends <= now:
        return by_code(1004)
    if begins > now:
        return by_code(1003)
    if ends > now + LONGEST_TOKEN_SECONDS + SKEW_SECONDS:
        return by_code(1002, "Authorization is invalid: exp is more than 30 minutes away")
    return None


def _submit(work: Work) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept a task."""
        body = work.checked(exchange.body, exchange.desk)
        makes = work.makes(body)
        job = exchange.desk.jobs.start(
            *makes,
            failures=exchange.failures,
            job_id=str(secrets.randbelow(9 * 10**17) + 10**17),
            alias=_own_id(work, exchange),
            facts={
                "path": work.path,
                "units": units(body, makes),
                "series": body.get("result_type") == "series",
            },
        )
        if work.is_new:
            return _envelope({"id": job.id, "status": "submitted"})
        return _envelope(_head(job, None))

    return Route("POST", work.path, Kind.SUBMIT, serve, _credential(work))


def _credential(work: Work) -> Credential:
    return by_key if work.is_new else by_key_or_pair


def _own_id(work: Work, exchange: Exchange) -> str | None:
    """Return the caller's own name for the task, which no task of the account may have."""
    name = "options.external_task_id" if work.is_new else "external_task_id"
    own_id = field(exchange.body or {}, name)
    if own_id is not None and not isinstance(own_id, str):
        raise wrong(f"{name} must be a string")
    if own_id and exchange.desk.jobs.find_by_alias(own_id):
        raise wrong(f"{name} {own_id!r} is not unique")
    return own_id or None


def _poll(work: Work) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Tell where a task stands that was submitted on this path."""
        asked = exchange.request.match_info["task_id"]
        job = _find(exchange, asked, work)
        if job is None:
            raise wrong(f"task {asked} is not found")
        ending = job.ending
        told = _head(job, ending) | {"task_status_msg": REASONS.get(ending or "", "")}
        if ending == "done":
            told |= {"task_result": _results(job, exchange), "final_unit_deduction": _deducted(job)}
        return _envelope(told)

    return Route("GET", f"{work.path}/{{task_id}}", Kind.POLL, serve, _credential(work))


def _find(exchange: Exchange, asked: str, *works: Work) -> Job | None:
    """Find a task of one of these works by its id or by the caller's own name for it."""
    jobs = exchange.desk.jobs
    job = jobs.find(asked) or jobs.find_by_alias(asked)
    if job is None or job.facts["path"] not in {work.path for work in works}:
        return None
    return exchange.heed(job)


def _status(job: Job, ending: str | None, *, good: str) -> str:
    if ending is None:
        return "submitted" if job.progress < 0.2 else "processing"
    return good if ending == "done" else "failed"


def _times(job: Job, ending: str | None) -> tuple[int, int]:
    """Return when it was created and last changed, in milliseconds."""
    created = round(job.created_at * 1000)
    ended = created + round(job.seconds * 1000)
    return created, ended if ending else max(created, round(time.time() * 1000))


def _head(job: Job, ending: str | None) -> dict[str, object]:
    created, updated = _times(job, ending)
    return {
        "task_id": job.id,
        "task_status": _status(job, ending, good="succeed"),
        "task_info": {"external_task_id": job.alias} if job.alias else {},
        "created_at": created,
        "updated_at": updated,
    }


def _deducted(job: Job) -> str:
    named = job.failures.get("cost")
    return f"{job.facts['units'] if named is None else named}"


def _addresses(job: Job, exchange: Exchange) -> Iterator[str]:
    for number, media in enumerate(job.makes):
        yield f"{exchange.public}/kling/files/{job.id}/{number}.{media.format}"


def _results(job: Job, exchange: Exchange) -> dict[str, object]:
    urls = list(_addresses(job, exchange))
    if job.makes[0].format == "png":
        pictures = [{"index": number, "url": url} for number, url in enumerate(urls)]
        if job.facts["series"]:
            return {"result_type": "series", "series_images": pictures, "images": []}
        return {"result_type": "single", "images": pictures, "series_images": []}
    seconds = f"{job.makes[0].seconds:g}"
    return {"videos": [{"id": video_id(job.id), "url": urls[0], "duration": seconds}]}


NEW_WORKS = tuple(work for work in WORKS if work.is_new)


async def tasks(exchange: Exchange) -> Answer:
    """Tell of several tasks of the newer design; of none of them is a mistake."""
    query = exchange.request.query
    asked = query.get("task_ids") or query.get("external_task_ids") or ""
    names = [name for name in asked.split(",") if name]
    if not names or len(names) > MOST_ASKED_FOR:
        raise wrong(f"task_ids must name 1 to {MOST_ASKED_FOR} tasks")
    found = [job for name in names if (job := _find(exchange, name, *NEW_WORKS))]
    if not found:
        raise wrong(f"task {asked} is not found")
    return _envelope([_row(job, exchange) for job in found])


def _row(job: Job, exchange: Exchange) -> dict[str, object]:
    ending = job.ending
    created, updated = _times(job, ending)
    row: dict[str, object] = {
        "id": job.id,
        "status": _status(job, ending, good="succeeded"),
        "message": REASONS.get(ending or "", ""),
        "create_time": created,
        "update_time": updated,
        "external_id": job.alias or "",
        "outputs": [],
        "billing": [],
    }
    if ending == "done":
        url = next(_addresses(job, exchange))
        film = {"type": "video", "id": video_id(job.id), "url": url}
        row["outputs"] = [{**film, "duration": f"{job.makes[0].seconds:g}"}]
        paid = {"charge_type": "unit", "amount": _deducted(job), "package_type": "video"}
        row["billing"] = [paid]
    return row


async def files(exchange: Exchange) -> Answer:
    """Hand over what a finished task made; anything else is not found."""
    job = exchange.desk.jobs.find(exchange.request.match_info["task_id"])
    number, _, ending = exchange.request.match_info["name"].partition(".")
    if job is None or job.ending != "done" or not number.isdecimal():
        raise RefusedError(404)
    made = dict(enumerate(job.makes)).get(int(number[:4]))
    if made is None or made.format != ending:
        raise RefusedError(404)
    return await delivery(made)


KLING = Vendor(
    name="kling",
    credential=by_key_or_pair,
    refuse=refuse,
    in_its_words=by_code,
    failures=OF_JOB | OF_POLL | OF_WORDS,
    ids=frozenset({"id", "task_id"}),
    routes=(
        *(_submit(work) for work in WORKS),
        *(_poll(work) for work in WORKS if not work.is_new),
        Route("GET", "/tasks", Kind.POLL, tasks, by_key),
        Route("GET", "/files/{task_id}/{name}", Kind.DOWNLOAD, files, anybody),
    ),
)
