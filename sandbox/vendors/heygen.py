"""HeyGen: films, translations, avatars and speech; every answer in `data`.

    POST /v3/videos               -> {"data": {"video_id", "status"}}
    GET  /v3/videos/<id>          -> {"data": {"status", "video_url", "duration"}}
    POST /v3/video-translations   -> {"data": {"video_translation_ids"}}, and its poll
    POST /v3/avatars              -> {"data": {"avatar_item": {"id"}}}
    GET  /v3/avatars/looks/<id>   -> {"data": {"id", "status", "supported_api_engines", ...}}
    POST /v3/voices/speech        -> {"data": {"audio_url", "duration"}}
    POST /v3/assets/direct-uploads  -> {"data": {"asset_id", "upload_url", "upload_headers"}}
    POST /v3/assets/<id>/complete   -> {"data": {"asset_id", "status"}}

An error is {"error": {"code", "message", "param", "doc_url"}}. Films are ten seconds long here.
Looks whose name ends in _public are everybody's, and say no state.
"""

import secrets

from sandbox import pictures, stores, works
from sandbox.failures import OF_JOB, OF_POLL, OF_STORED, OF_WORDS
from sandbox.jobs import Job
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, in_header

SECONDS = 10
SPEECH_SECONDS = 4.0
MOST_CHARACTERS = 5000
CODES = {
    400: "invalid_parameter",
    401: "unauthorized",
    402: "insufficient_credit",
    403: "forbidden",
    404: "not_found",
    429: "rate_limit_exceeded",
}
ASSETS = ("image/png", "image/jpeg", "video/mp4", "video/webm", "audio/mpeg", "audio/wav")
ENGINES = ("avatar_iii", "avatar_iv", "avatar_v")


def refuse(status: int, detail: object) -> Answer:
    """Refuse with a code and a sentence."""
    code, said = detail if isinstance(detail, tuple) else (CODES.get(status), detail)
    error = {
        "code": code or "internal_error",
        "message": f"{said or works.USUAL[status]}",
        "param": None,
        "doc_url": "https://developers.heygen.com/errors",
    }
    return Answer.json({"error": error}, status=status)


def _in_its_words(code: int | None) -> RefusedError:
    """Refuse for the content (422), or for what the account lacks: a 400 of its own."""
    if code == 422:
        return RefusedError(400, ("content_moderation", "The script violates our policy"))
    return RefusedError(400, ("insufficient_credit", "Please add to your wallet"))


async def video(exchange: Exchange) -> Answer:
    """Accept a film."""
    body = works.asked(exchange)
    kind = works.one_of(body, "type", ("image", "avatar"))
    works.one_of(body, "resolution", ("720p", "1080p", "4k"), default="1080p")
    if kind == "image":
        works.given(body, "image.url", "image.data")
    else:
        _check_avatar(exchange, body)
    script, sound = body.get("script"), body.get("audio_url") or body.get("audio_asset_id")
    if bool(script) == bool(sound):
        raise RefusedError(400, "script or audio_url is required")
    if script and len(f"{script}") > MOST_CHARACTERS:
        raise RefusedError(400, "script is too long")
    job = works.start(exchange, "mp4", seconds=SECONDS)
    return Answer.json({"data": {"video_id": job.id, "status": "waiting"}})


def _check_avatar(exchange: Exchange, body: Body) -> None:
    look = works.text(body, "avatar_id")
    if body.get("engine") is not None:
        works.one_of(body, "engine.type", ENGINES)
    if not look.endswith("_public") and exchange.desk.jobs.find(look) is None:
        raise RefusedError(400, "There is no such avatar")


async def translate(exchange: Exchange) -> Answer:
    """Accept a translation, one for each language."""
    body = works.asked(exchange)
    works.one_of(body, "mode", ("speed", "precision"), default="speed")
    if works.one_of(body, "video.type", ("url", "asset_id")) == "url":
        works.address(body, "video.url")
    elif not stores.named(exchange, "video.asset_id"):
        raise RefusedError(400, "There is no such asset")
    languages = body.get("output_languages")
    if not isinstance(languages, list) or not languages:
        raise RefusedError(400, "output_languages are required")
    ids = [works.start(exchange, "mp4", seconds=SECONDS).id for _ in languages]
    return Answer.json({"data": {"video_translation_ids": ids}})


async def avatar(exchange: Exchange) -> Answer:
    """Accept an avatar of a photo or a prompt."""
    body = works.asked(exchange)
    kind = works.one_of(body, "type", ("photo", "prompt"))
    works.text(body, "name")
    if kind == "photo":
        works.given(body, "file.url", "file.data")
    else:
        works.text(body, "prompt")
    job = works.start(exchange, "png", job_id=secrets.token_hex(16))
    return Answer.json({"data": {"avatar_item": {"id": job.id, "status": "processing"}}})


def _told(exchange: Exchange, job: Job, **done: object) -> Answer:
    ending = job.ending
    data: dict[str, object] = {"id": job.id, "status": "processing"}
    if ending == "done":
        data |= {"status": "completed", **done}
    elif ending is not None:
        blocked = ending != "failed"
        data |= {
            "status": "failed",
            "failure_code": "moderation_error" if blocked else "internal_error",
            "failure_message": "It failed",
            "error": "moderation" if blocked else "internal",
        }
    return Answer.json({"data": data})


async def film(exchange: Exchange) -> Answer:
    """Tell where a film or a translation stands."""
    job = works.find(exchange)
    url = works.addresses(exchange, "heygen", job)[0]
    return _told(exchange, job, video_url=url, duration=float(SECONDS))


async def look(exchange: Exchange) -> Answer:
    """Tell of a look: of a public one without a state, of another where it stands."""
    name = exchange.request.match_info["id"]
    if name.endswith("_public"):
        data = {"id": name, "name": "Anna", "supported_api_engines": list(ENGINES)}
        return Answer.json({"data": data})
    job = works.find(exchange)
    url = works.addresses(exchange, "heygen", job)[0]
    return _told(exchange, job, preview_image_url=url, supported_api_engines=["avatar_iv"])


async def speech(exchange: Exchange) -> Answer:
    """Answer a sound."""
    body = works.asked(exchange)
    if len(works.text(body, "text")) > MOST_CHARACTERS:
        raise RefusedError(400, "text is too long")
    works.text(body, "voice_id")
    (url,) = pictures.hung(exchange, "heygen", "mp3", seconds=SPEECH_SECONDS)
    return Answer.json({"data": {"audio_url": url, "duration": SPEECH_SECONDS}})


async def upload(exchange: Exchange) -> Answer:
    """Offer a place for a file, which is an asset once it is said to be complete."""
    body = works.asked(exchange)
    kind = f"{works.one_of(body, 'content_type', ASSETS)}"
    works.text(body, "filename")
    if not isinstance(body.get("size_bytes"), int):
        raise RefusedError(400, "size_bytes is required")
    url, name = stores.offer(
        exchange, "heygen", name="asset_{id}", content_type=kind, is_whole=False
    )
    told = {"asset_id": name, "upload_url": url, "upload_headers": {"Content-Type": kind}}
    return Answer.json({"data": {**told, "expires_in_seconds": 3600, "status": "pending"}})


async def complete(exchange: Exchange) -> Answer:
    """Make an asset of what was uploaded."""
    name = exchange.request.match_info["id"]
    found = exchange.desk.uploads.called(name)
    if found is None or not found.digest:
        raise RefusedError(404)
    found.is_whole = True
    return Answer.json({"data": {"asset_id": name, "status": "completed"}})


HEYGEN = Vendor(
    name="heygen",
    credential=in_header("x-api-key"),
    refuse=refuse,
    in_its_words=_in_its_words,
    failures=OF_JOB - {"cost"} | OF_POLL - {"poll_inside"} | OF_WORDS | OF_STORED,
    ids=frozenset({"video_id", "video_translation_ids", "id"}),
    routes=(
        Route("POST", "/v3/videos", Kind.SUBMIT, video),
        Route("GET", "/v3/videos/{id}", Kind.POLL, film),
        Route("POST", "/v3/video-translations", Kind.SUBMIT, translate),
        Route("GET", "/v3/video-translations/{id}", Kind.POLL, film),
        Route("POST", "/v3/avatars", Kind.SUBMIT, avatar),
        Route("GET", "/v3/avatars/looks/{id}", Kind.POLL, look),
        Route("POST", "/v3/voices/speech", Kind.SUBMIT, speech),
        Route("POST", "/v3/assets/direct-uploads", Kind.UPLOAD, upload),
        Route("POST", "/v3/assets/{id}/complete", Kind.UPLOAD, complete),
        stores.PUT,
        works.FILES,
    ),
)
