"""BytePlus at four addresses, which are one here: ModelArk, Seed Audio, MediaKit, the assets.

    POST /api/v3/contents/generations/tasks -> {"id"}
    GET  .../<id>                           -> {"status", "content", "usage"}
    POST /api/v3/images/generations         -> {"data": [{"url"}], "usage"}
    POST /api/v3/responses                  -> a response of Seed
    POST /api/v3/tts/create    X-Api-Key    -> {"code", "audio", "duration", "original_duration"}
    POST /api/v1/tools/enhance-video        -> {"success", "task_id"}
    GET  /api/v1/tasks/<id>                 -> {"success", "status", "result"}
    POST /?Action=...          signed       -> {"ResponseMetadata", "Result"}

A video has as many tokens as its frames have pixels, by 1024. The signature is checked here from
its public description, over the bytes that came.
"""

import hashlib
import hmac
import re
import time
import uuid
from datetime import UTC, datetime

from aiohttp import web

from sandbox import language, pictures, works
from sandbox.failures import OF_JOB, OF_MODEL, OF_POLL, OF_WORDS
from sandbox.far_side import Desk
from sandbox.jobs import Job
from sandbox.vendor import (
    Answer,
    Body,
    Exchange,
    Kind,
    RefusedError,
    Route,
    Vendor,
    in_header,
)

BEARER = in_header("authorization", prefix="Bearer ")
ONE = re.compile(r"seedance-1-(0|5)-(pro|lite)[\w-]*")
TWO = re.compile(r"dreamina-seedance-2-(0|5)[\w-]*")
FLAG = re.compile(r"--(resolution|duration) (\S+)")
PIXELS = {"480p": 864 * 480, "720p": 1280 * 720, "1080p": 1920 * 1080, "4k": 3840 * 2160}
REFERENCE_SECONDS = 5
SOUND_SECONDS = 3.0
CODES = {
    400: "InvalidParameter",
    401: "AuthenticationError",
    402: "AccountOverdueError",
    403: "AccessDenied",
    404: "InvalidEndpointOrModel.NotFound",
    422: "InputTextSensitiveContentDetected",
    429: "RateLimitExceeded.EndpointRPMExceeded",
}
OWN = {429: "SetLimitExceeded", 503: "ServerOverloaded", 451: "OutputVideoRiskDetection"}
WORDS = {None: "running", "done": "succeeded"}
DONE = {None: "running", "done": "completed"}
SHOWN = re.compile(
    r"HMAC-SHA256 Credential=([^/\s]+)/(\d{8})/([\w-]+)/ark/request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
MUST_BE_SIGNED = {"host", "x-content-sha256", "x-date"}
CLOCK_SECONDS = 900


def refuse(status: int, detail: object) -> Answer:
    """Refuse by a code and a sentence."""
    code, said = detail if isinstance(detail, tuple) else (CODES.get(status), detail)
    error = {"code": code or "InternalServiceError", "message": f"{said or works.USUAL[status]}"}
    return Answer.json({"error": {**error, "param": "", "type": ""}}, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    """Refuse as an overdue account unless told; 429: a limit that was set, 451: for the content."""
    number = 402 if code is None else code
    status = {402: 403, 451: 400}.get(number, number)
    return RefusedError(status, (OWN.get(number, CODES.get(number, "Unknown")), "It is refused"))


# --- Videos --------------------------------------------------------------------------------------


def _look_at_content(exchange: Exchange, body: Body) -> list[str]:
    """Return the kinds of what a video is made from; its assets must be ready."""
    content = body.get("content")
    if not isinstance(content, list) or not content:
        raise RefusedError(400, "content is required")
    kinds = []
    for part in content:
        kind = works.text(part, "type")
        kinds.append(kind)
        if kind == "text":
            works.text(part, "text")
            continue
        url = works.text(part, f"{kind}.url")
        if url.startswith("asset://"):
            job = exchange.desk.jobs.find(url.removeprefix("asset://"))
            if job is None or job.ending != "done":
                raise RefusedError(400, "The asset is not there")
        else:
            works.address(part, f"{kind}.url")
    return kinds


async def create(exchange: Exchange) -> Answer:
    """Accept a video."""
    body = works.asked(exchange)
    model = works.text(body, "model")
    kinds = _look_at_content(exchange, body)
    said: dict[str, object] = {"resolution": "1080p", "duration": "5"}
    if TWO.fullmatch(model):
        said |= {name: body.get(name, said[name]) for name in said}
    elif ONE.fullmatch(model):
        texts = [works.text(part, "text") for part in body["content"] if part["type"] == "text"]  # type: ignore[attr-defined]
        said |= dict(FLAG.findall(" ".join(texts)))
    else:
        raise RefusedError(404, f"The model {model} does not exist")
    resolution = f"{works.one_of(said, 'resolution', PIXELS)}"
    seconds = float(f"{said['duration']}")
    seconds = 5.0 if seconds < 0 else seconds
    read = REFERENCE_SECONDS if "video_url" in kinds else 0
    tokens = int(PIXELS[resolution] * 24 * (seconds + read)) // 1024
    job = works.start(exchange, "mp4", seconds=seconds, job_id=f"cgt-{uuid.uuid4().hex}",
                      tokens=tokens, model=model)  # fmt: skip
    return Answer.json({"id": job.id})


async def task(exchange: Exchange) -> Answer:
    """Tell where a video stands."""
    job = works.find(exchange)
    ending = job.ending
    told: dict[str, object] = {"id": job.id, "model": job.facts["model"]}
    told["status"] = WORDS.get(ending, "failed")
    if ending == "done":
        told["content"] = {"video_url": works.addresses(exchange, "byteplus", job)[0]}
        if language_says(job):
            told["usage"] = dict.fromkeys(
                ("completion_tokens", "total_tokens"), job.facts["tokens"]
            )
    elif ending is not None:
        code = (
            "InternalServiceError" if ending == "failed" else "OutputVideoSensitiveContentDetected"
        )
        told["error"] = {"code": code, "message": "The video was not made"}
    return Answer.json(told)


def language_says(job: Job) -> bool:
    """Whether a video's end tells its tokens."""
    return "no_usage" not in job.failures


# --- At once -------------------------------------------------------------------------------------


async def draw(exchange: Exchange) -> Answer:
    """Draw a picture, a series, or layers; of a series that shall cost less one was not drawn."""
    body = works.asked(exchange)
    if not works.text(body, "model").startswith(("seedream-", "seededit-")):
        raise RefusedError(404, f"The model {body['model']} does not exist")
    number = 1
    if body.get("layer_decomposition"):
        number = 3
    elif body.get("sequential_image_generation") == "auto":
        number = pictures.number(body, "sequential_image_generation_options.max_images",
                                 least=1, most=15, default=15)  # fmt: skip
    data: list[dict[str, object]] = [
        {"url": url, "size": "64x64"}
        for url in pictures.hung(exchange, "byteplus", *["png"] * number)
    ]
    if exchange.failures.keys() & {"cost", "failed", "moderated"}:
        code = (
            "OutputImageSensitiveContentDetected" if "moderated" in exchange.failures else "Failed"
        )
        data[-1] = {"error": {"code": code, "message": "The picture was not made"}}
    return Answer.json(
        {
            "created": int(time.time()),
            "model": body["model"],
            "data": data,
            "usage": {"generated_images": len(data), "output_tokens": 4096 * len(data)},
        }
    )


async def respond(exchange: Exchange) -> Answer:
    """Say something."""
    body = works.asked(exchange)
    if not works.text(body, "model").startswith("seed-2-0-"):
        raise RefusedError(404, f"The model {body['model']} does not exist")
    limit = pictures.number(body, "max_output_tokens", least=1, most=131_072, default=32_768)
    said, tokens, is_cut = language.spoken(exchange, limit)
    part = {"type": "output_text", "text": said}
    told: dict[str, object] = {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "model": body["model"],
        "status": "incomplete" if is_cut else "completed",
        "output": [
            {"type": "message", "role": "assistant", "status": "completed", "content": [part]}
        ],
    }
    if language.reports(exchange):
        asked = language.asked_tokens(body)
        usage = {"input_tokens": asked, "output_tokens": tokens, "total_tokens": asked + tokens}
        told["usage"] = usage
    return Answer.json(told)


async def speak(exchange: Exchange) -> Answer:
    """Make a sound of a text."""
    body = works.asked(exchange)
    works.one_of(body, "model", ("seed-audio-1.0", "seed-audio-1.0-multilingual"))
    works.text(body, "text_prompt")
    if not exchange.request.headers.get("x-api-request-id"):
        raise RefusedError(400, "X-Api-Request-Id is required")
    sound = pictures.encoded(pictures.media(exchange, "mp3", seconds=SOUND_SECONDS))
    told: dict[str, object] = {"code": 0, "message": "", "audio": sound}
    if language.reports(exchange):
        told |= dict.fromkeys(("duration", "original_duration"), SOUND_SECONDS)
    return Answer.json(told)


# --- MediaKit ------------------------------------------------------------------------------------


async def enhance(exchange: Exchange) -> Answer:
    """Accept a video that shall look better."""
    body = works.asked(exchange)
    works.address(body, "video_url")
    works.one_of(body, "tool_version", ("standard", "professional"))
    works.one_of(body, "resolution", ("720p", "1080p", "2k", "4k", "8k"), default="720p")
    token = f"{body['client_token']}" if body.get("client_token") else None
    job = exchange.desk.jobs.find_by_alias(token) if token else None
    job = job or works.start(exchange, "mp4", seconds=5.0, fps=body.get("fps", 24.0), alias=token,
                             resolution=body.get("resolution", "1440p"))  # fmt: skip
    return Answer.json({"success": True, "request_id": f"{uuid.uuid4()}", "task_id": job.id})


async def enhanced(exchange: Exchange) -> Answer:
    """Tell where it stands."""
    job = works.find(exchange)
    told: dict[str, object] = {"success": True, "task_id": job.id}
    told["status"] = DONE.get(job.ending, "failed")
    if job.ending == "done":
        url = works.addresses(exchange, "byteplus", job)[0]
        told["result"] = {"video_url": url, "duration": 5.0, **job.facts}
    elif job.ending is not None:
        code = "Failed" if job.ending == "failed" else "SensitiveContent"
        told |= {"success": False, "error": {"code": code, "message": "It failed"}}
    return Answer.json(told)


# --- The asset library ---------------------------------------------------------------------------


def _access_key(desk: Desk, request: web.Request) -> RefusedError | None:
    """Want an access key that is known; the signature is looked at with the body."""
    given = request.headers.getall("authorization", [])
    shown = SHOWN.fullmatch(given[0]) if len(given) == 1 else None
    wanted = desk.settings.key or ""
    if shown is not None and hmac.compare_digest(shown[1].encode(), wanted.encode()):
        return None
    return RefusedError(401, ("InvalidAccessKey", "The access key is not known"))


def _check_signature(exchange: Exchange) -> None:
    settings, request = exchange.desk.settings, exchange.request
    shown = SHOWN.fullmatch(request.headers.get("authorization", ""))
    if settings.key is None or shown is None:
        return
    _, day, region, names, signature = shown.groups()
    headers = {name: request.headers.get(name, "") for name in names.split(";")}
    moment, body = request.headers.get("x-date", ""), hashlib.sha256(exchange.raw).hexdigest()
    wrong = RefusedError(401, ("SignatureDoesNotMatch", "The signature does not match"))
    if not headers.keys() >= MUST_BE_SIGNED or not re.fullmatch(r"\d{8}T\d{6}Z", moment):
        raise wrong
    at = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    if abs(time.time() - at) > CLOCK_SECONDS or not moment.startswith(day):
        raise wrong
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    path, _, query = request.raw_path.partition("?")
    query = "&".join(sorted(query.split("&")))
    asked = f"{request.method}\n{path}\n{query}\n{lines}\n{names}\n{body}"
    hashed = hashlib.sha256(asked.encode()).hexdigest()
    text = f"HMAC-SHA256\n{moment}\n{day}/{region}/ark/request\n{hashed}"
    key = (settings.secret or settings.key).encode()
    for part in (day, region, "ark", "request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(key.hex(), signature) or headers["x-content-sha256"] != body:
        raise wrong


async def library(exchange: Exchange) -> Answer:
    """Do what the query says."""
    _check_signature(exchange)
    action, body = exchange.request.query.get("Action", ""), works.asked(exchange)
    acts = {
        "CreateAsset": _keep,
        "GetAsset": _asset,
        "CreateVisualValidateSession": _begin,
        "GetVisualValidateResult": _session,
    }
    if action not in acts or exchange.request.query.get("Version") != "2024-01-01":
        raise RefusedError(404, ("InvalidActionOrVersion", "There is no such action"))
    told = {"RequestId": uuid.uuid4().hex, "Action": action, "Service": "ark"}
    return Answer.json({"ResponseMetadata": told, "Result": acts[action](exchange, body)})


def _keep(exchange: Exchange, body: Body) -> object:
    works.address(body, "URL")
    kind = works.one_of(body, "AssetType", ("Image", "Video", "Audio"))
    group = works.text(body, "GroupId")
    name = f"asset-{uuid.uuid4().hex}"
    works.start(exchange, job_id=name, kind=kind, group=group, url=body["URL"])
    return {"Id": name}


def _found(exchange: Exchange, body: Body, name: str) -> Job:
    job = exchange.desk.jobs.find(works.text(body, name))
    if job is None:
        raise RefusedError(404, ("NotFound", f"{name} is not found"))
    return job


def _asset(exchange: Exchange, body: Body) -> object:
    job = _found(exchange, body, "Id")
    status = "Active" if job.ending == "done" else "Processing"
    facts = {"AssetType": job.facts["kind"], "GroupId": job.facts["group"], "URL": job.facts["url"]}
    return {"Id": job.id, "Name": "", "Status": status, **facts}


def _begin(exchange: Exchange, _: Body) -> object:
    token = uuid.uuid4().hex
    works.start(exchange, job_id=token)
    return {"BytedToken": token, "H5Link": f"{exchange.public}/byteplus-assets/h5/{token}"}


def _session(exchange: Exchange, body: Body) -> object:
    job = _found(exchange, body, "BytedToken")
    return {"GroupId": f"group-{job.id}"} if job.ending == "done" else {}


BYTEPLUS = Vendor(
    name="byteplus",
    credential=BEARER,
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB | OF_POLL - {"poll_inside"} | OF_WORDS | OF_MODEL,
    ids=frozenset({"id", "task_id"}),
    bases=("voice", "mediakit", "assets"),
    routes=(
        Route("POST", "/api/v3/contents/generations/tasks", Kind.SUBMIT, create),
        Route("GET", "/api/v3/contents/generations/tasks/{id}", Kind.POLL, task),
        Route("POST", "/api/v3/images/generations", Kind.SUBMIT, draw),
        Route("POST", "/api/v3/responses", Kind.SUBMIT, respond),
        Route("POST", "/api/v3/tts/create", Kind.SUBMIT, speak, in_header("x-api-key")),
        Route("POST", "/api/v1/tools/enhance-video", Kind.SUBMIT, enhance),
        Route("GET", "/api/v1/tasks/{id}", Kind.POLL, enhanced),
        Route("POST", "/", Kind.FREE, library, _access_key),
        works.FILES,
    ),
)
