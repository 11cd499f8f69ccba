"""Alibaba's Model Studio as Wan's far side: three submits that want to be asynchronous, one poll.

    POST /api/v1/services/aigc/<work> -> {"output": {"task_id", "task_status"}, "request_id"}
    GET  /api/v1/tasks/<id>           -> the same with "video_url" or "results", and "usage"

Without X-DashScope-Async a submit is refused. An error is {"code", "message", "request_id"}; a task
that is not known is one in the state UNKNOWN. What is made from a video has two seconds of it, and
its usage counts both.
"""

import uuid

from sandbox import works
from sandbox.failures import OF_JOB, OF_POLL, OF_WORDS
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

CODES = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    402: "Arrearage",
    403: "AccessDenied",
    404: "ModelNotFound",
    429: "Throttling.RateQuota",
    500: "InternalError",
}
PICTURES = {
    "text2image/image-synthesis": "wan2.5-t2i-preview",
    "image2image/image-synthesis": "wan2.5-i2i-preview",
}
INPUT_SECONDS = 2
AUTO_SECONDS = 5
WORDS = {None: "RUNNING", "done": "SUCCEEDED"}


def refuse(status: int, detail: object) -> Answer:
    """Refuse by a code, in words."""
    code, said = detail if isinstance(detail, tuple) else (CODES.get(status), detail)
    told = {
        "code": code or "InternalError",
        "message": f"{said or works.USUAL[status]}",
        "request_id": f"{uuid.uuid4()}",
    }
    return Answer.json(told, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    """Refuse for the content (422), or for what is owed: both are a 400."""
    if code == 422:
        return RefusedError(400, ("DataInspectionFailed", "Input data may be inappropriate"))
    return RefusedError(400, ("Arrearage", "Access denied, your account is in arrears"))


def _check_async(exchange: Exchange) -> Body:
    if exchange.request.headers.get("x-dashscope-async") != "enable":
        raise RefusedError(403, ("AccessDenied", "does not support synchronous calls"))
    body = works.asked(exchange)
    if not isinstance(body.get("input"), dict):
        raise RefusedError(400, "input is required")
    return body


def _picture(work: str) -> Route:
    async def serve(exchange: Exchange) -> Answer:
        """Accept pictures."""
        body = _check_async(exchange)
        works.one_of(body, "model", (PICTURES[work],))
        number = works.one_of(body, "parameters.n", range(1, 5), default=4)
        assert isinstance(number, int), "it is one of a range"
        return _taken(exchange, *["png"] * number, made=0, read=0)

    return Route("POST", f"/api/v1/services/aigc/{work}", Kind.SUBMIT, serve)


async def video(exchange: Exchange) -> Answer:
    """Accept a video."""
    body = _check_async(exchange)
    model = works.text(body, "model")
    if not model.startswith(("wan2.", "happyhorse-1.")):
        raise RefusedError(404, "Model not exist.")
    seconds = works.one_of(body, "parameters.duration", range(16), default=5)
    assert isinstance(seconds, int), "it is one of a range"
    media = works.at(body, "input.media") or []
    assert isinstance(media, list), "the sandbox wants a list"
    kinds = {works.at(each, "type") for each in media}
    reads = works.at(body, "input.reference_video_urls") or kinds & {
        "video", "first_clip", "reference_video"
    }  # fmt: skip
    return _taken(exchange, "mp4", made=seconds or AUTO_SECONDS, read=INPUT_SECONDS if reads else 0)


def _taken(exchange: Exchange, *formats: str, made: int, read: int) -> Answer:
    job = works.start(exchange, *formats, seconds=made, made=made, read=read)
    told = {"task_id": job.id, "task_status": "PENDING"}
    return Answer.json({"output": told, "request_id": f"{uuid.uuid4()}"})


async def task(exchange: Exchange) -> Answer:
    """Tell where a task stands."""
    job_id = exchange.request.match_info["id"]
    job = exchange.find_job(job_id)
    output: dict[str, object] = {"task_id": job_id, "task_status": "UNKNOWN"}
    told: dict[str, object] = {"request_id": f"{uuid.uuid4()}", "output": output}
    if job is None:
        return Answer.json(told)
    output["task_status"] = WORDS.get(job.ending, "FAILED")
    if job.ending == "done":
        urls = works.addresses(exchange, "wan", job)
        if job.makes[0].format == "mp4":
            output["video_url"] = urls[0]
            made, read = job.facts["made"], job.facts["read"]
            assert isinstance(made, int), "it is counted"
            assert isinstance(read, int), "it is counted"
            told["usage"] = {"duration": made + read, "video_count": 1}
        else:
            output["results"] = [{"url": url} for url in urls]
            if "cost" in job.failures:  # The last picture was not made.
                output["results"] = [*({"url": url} for url in urls[:-1]), {"code": "Internal"}]
            told["usage"] = {"image_count": len(urls)}
    elif job.ending is not None:
        blocked = job.ending != "failed"
        output["code"] = "DataInspectionFailed" if blocked else "InternalError"
        output["message"] = "It failed"
    return Answer.json(told)


WAN = Vendor(
    name="wan",
    credential=in_header("authorization", prefix="Bearer "),
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB | OF_POLL - {"poll_inside"} | OF_WORDS,
    ids=frozenset({"task_id"}),
    routes=(
        Route("POST", "/api/v1/services/aigc/video-generation/video-synthesis", Kind.SUBMIT, video),
        *(_picture(work) for work in PICTURES),
        Route("GET", "/api/v1/tasks/{id}", Kind.POLL, task),
        works.FILES,
    ),
)
